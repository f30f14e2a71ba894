"""The chain of seals over the log: what makes it sound, and what is wrong where it is not.

An event's digest is the SHA-256 of its row as PostgreSQL sends a record: OID, length and bytes of each column. A seal
is the SHA-256 of the seal before (32 zero bytes for the first), its time, and the digests of the events it covers. The
digest leaves out position and time: an event's position is its place in the chain, its time that of its seal. Seals of
the first form had both in the digest instead, and no time of their own.
"""

from collections.abc import Sequence
from enum import IntEnum, StrEnum
from hashlib import sha256

from msgspec import Struct

from domain.ids import Position

SIZE = 32
_POSITION = 4  # the place of notification_id among the ten columns; recorded_at comes next
_SAID = (8).to_bytes(4, "big")  # the number of columns but for these two
_NULL = 0xFFFFFFFF

Record = bytes
"""A row of the log in PostgreSQL's binary form."""


class Link(Struct, frozen=True):
    """A place in the chain: the seal that ends with a position."""

    position: Position = Position(0)
    seal: bytes = bytes(SIZE)


class Form(IntEnum):
    """What a seal covers: digests of whole rows, or its time and digests of what the appender said."""

    ROWS = 1
    SAID = 2


_FORMS = tuple(Form)


class Seal(Struct, frozen=True, gc=False):
    """A row of the chain. `sealed_at` is in PostgreSQL's binary form."""

    first: Position
    last: Position
    sealed_at: bytes
    digests: bytes
    seal: bytes
    form: int


class SealedPage(Struct, frozen=True):
    """Consecutive seals, and the events from the first one's first to the last one's last position, in order."""

    seals: Sequence[Seal]
    records: Sequence[Record]


class FaultKind(StrEnum):
    CHANGED = "changed"
    MISSING = "missing"
    SWAPPED = "swapped"
    UNSEALED = "inserted"
    SEAL_BROKEN = "seal broken"
    SEAL_MISSING = "seal missing"
    REWRITTEN = "rewritten"


class Fault(Struct, frozen=True):
    """The first position at which the log is not what was sealed."""

    position: Position
    kind: FaultKind
    detail: str

    def __str__(self) -> str:
        return f"position {self.position}: {self.kind}. {self.detail}"


def follow(link: Link, page: SealedPage) -> tuple[Link, Fault | None]:
    """Go on from a place that is known to be sound. Returns the last sound place, and what is wrong behind it."""
    before, seal_before, place, records = link.position, link.seal, 0, page.records
    for seal in page.seals:
        last, sealed = seal.last, seal.digests
        count = last - before
        if seal.first != before + 1 or len(sealed) != SIZE * count or seal.form not in _FORMS:
            link = Link(before, seal_before)
            return link, _misplaced(link, seal)
        covered = records[place : place + count]
        digests, positions, times = _read(covered, seal.form)
        sound = digests == sealed and sealing(seal_before, seal.form, seal.sealed_at, digests) == seal.seal
        if not sound or times != {seal.sealed_at} or positions != list(range(seal.first, last + 1)):
            link = Link(before, seal_before)
            return link, _fault(link, seal, records)
        before, seal_before = last, seal.seal
        place += count
    return Link(before, seal_before), None


def _misplaced(link: Link, seal: Seal) -> Fault:
    here = Position(link.position + 1)
    if seal.first > here:
        return Fault(here, FaultKind.SEAL_MISSING, f"The next seal begins with position {seal.first}.")
    return Fault(here, FaultKind.SEAL_BROKEN, "The seal does not cover the positions that it names.")


def _fault(link: Link, seal: Seal, records: Sequence[Record]) -> Fault:
    here = link.position + 1
    found: dict[int, list[Record]] = {place: [] for place in range(here, seal.last + 1)}
    for record in records:
        if (place := position(record)) in found:
            found[place].append(record)
    unharmed = _unharmed(link, seal, [each[0] for each in found.values() if each])
    for place, here_stand in found.items():
        at = Position(place)
        if not here_stand:
            return Fault(at, FaultKind.MISSING, "There is no event at this position.")
        if len(here_stand) > 1:
            return Fault(at, FaultKind.UNSEALED, "There is more than one event at this position.")
        digest, _, times = _read(here_stand, seal.form)
        if digest == digest_at(seal, at) and (seal.form == Form.ROWS or times == {seal.sealed_at}):
            continue
        if unharmed:
            return Fault(at, FaultKind.SEAL_BROKEN, "The event is as it was; what is beside its seal is not.")
        return Fault(at, FaultKind.CHANGED, "The event is not the one that was sealed.")
    if sealing(link.seal, seal.form, seal.sealed_at, seal.digests) != seal.seal:
        detail = "The seal does not follow from the one before and the events that it covers."
        return Fault(Position(here), FaultKind.SEAL_BROKEN, detail)
    return Fault(Position(here), FaultKind.SEAL_BROKEN, "The seal's time is not that of its last event.")


def _unharmed(link: Link, seal: Seal, records: Sequence[Record]) -> bool:
    """Whether the seal follows from the events alone, whatever stands beside it."""
    for form in Form:
        digests, _, times = _read(records, form)
        if len(times) == 1 and sealing(link.seal, form, times.pop(), digests) == seal.seal:
            return True
    return False


def _read(records: Sequence[Record], form: int) -> tuple[bytes, list[int], set[bytes]]:
    """The digests of events, their positions, and the times of which a seal of them has one."""
    parts = [_parted(record) for record in records]
    hashed = records if form == Form.ROWS else [said for said, _, _ in parts]
    timed = parts[-1:] if form == Form.ROWS else parts
    digests = b"".join([sha256(each).digest() for each in hashed])
    return digests, [place for _, place, _ in parts], {at for _, _, at in timed}


def sealing(before: bytes, form: int, at: bytes, digests: bytes) -> bytes:
    """The seal as it should be, after the one before."""
    return sha256(before + digests if form == Form.ROWS else before + at + digests).digest()


def digest_at(seal: Seal, at: Position) -> bytes:
    """What was sealed at a position that the seal covers."""
    start = SIZE * (at - seal.first)
    return seal.digests[start : start + SIZE]


def position(record: Record) -> int:
    return int.from_bytes(column(record, _POSITION), "big", signed=True)


def moved(record: Record, to: Position, form: int) -> bytes:
    """The digest that an event would have at another position."""
    if form != Form.ROWS:
        return sha256(_parted(record)[0]).digest()
    start, end = _span(record, _POSITION)
    return sha256(record[:start] + to.to_bytes(8, "big", signed=True) + record[end:]).digest()


def _parted(record: Record) -> tuple[bytes, int, bytes]:
    """What the appender said, as a record of its own; position; time."""
    start, end = _span(record, _POSITION)
    time, after = _field(record, end)
    place = int.from_bytes(record[start:end], "big", signed=True)
    return _SAID + record[4 : start - 8] + record[after:], place, record[time:after]


def column(record: Record, number: int) -> bytes:
    """A column's bytes; none for NULL."""
    start, end = _span(record, number)
    return record[start:end]


def _span(record: Record, number: int) -> tuple[int, int]:
    start, end = 0, 4  # behind the number of columns
    for _ in range(number + 1):
        start, end = _field(record, end)
    return start, end


def _field(record: Record, at: int) -> tuple[int, int]:
    """Where the column's bytes are whose type and length stand here."""
    size = int.from_bytes(record[at + 4 : at + 8], "big")
    return at + 8, at + 8 + (0 if size == _NULL else size)
