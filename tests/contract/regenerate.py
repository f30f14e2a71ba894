"""Write the stored form of every event anew. A diff in a file that was there before is a decision to be reviewed."""

import msgspec

from domain.catalogue import CATALOGUE
from domain.event import topic
from tests.contract.golden import EXAMPLES, FOLDER, file_of


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for example in EXAMPLES:
        stored = msgspec.json.format(CATALOGUE.encode(example), indent=2)
        file_of(topic(example)).write_bytes(stored + b"\n")


if __name__ == "__main__":
    main()
