"""Write the stored form of every event anew, and what outsiders are promised.

A diff in a file that was there before is a decision to be reviewed; a broken promise is not written.
"""

import sys

import msgspec

from domain.catalogue import CATALOGUE
from domain.event import topic
from tests.contract import public
from tests.contract.golden import EXAMPLES, FOLDER, file_of


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for example in EXAMPLES:
        stored = msgspec.json.format(CATALOGUE.encode(example), indent=2)
        file_of(topic(example)).write_bytes(stored + b"\n")
    if said := public.write():
        sys.exit("\n".join(said))


if __name__ == "__main__":
    main()
