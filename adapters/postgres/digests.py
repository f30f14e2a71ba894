"""What an appender says of its events, hashed: the digests that the chain of seals keeps of them.

Hashed is the record that PostgreSQL would send of an event's eight columns that do not depend on its place in the log.
Python's SHA-256 uses the processor's instructions for it, PostgreSQL's does not; and what goes wrong between here and
the table is found as well. Wire format: PostgreSQL source, src/backend/utils/adt/rowtypes.c, record_send.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import pack

from adapters.postgres.arrays import Array, Bigints, Byteas, Texts, Uuids

COLUMNS: tuple[type[Array], ...] = (Uuids, Bigints, Texts, Byteas, Uuids, Texts, Uuids, Bigints)
"""Stream, version, topic, state, owner, actor, correlation, causation."""
# Behind the number of columns, each is its type and then what it would be in an array.
_RECORD = pack("!i", len(COLUMNS)) + b"".join(pack("!I", column.ELEMENT) + b"%b" for column in COLUMNS)


def digests(columns: Sequence[Sequence[bytes]]) -> bytes:
    """One behind the other. `columns` are the elements of the arrays."""
    return b"".join([sha256(_RECORD % fields).digest() for fields in zip(*columns, strict=True)])
