"""The chain of seals over the log: what makes it sound, and what is wrong where it is not.

An event's digest is the SHA-256 of its row as PostgreSQL sends a record: OID, length and bytes of each of ten columns.
A seal is the SHA-256 of the seal before (32 zero bytes for the first) and the digests of the events it covers.
"""

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct

from domain.ids import Position

SIZE = 32
_POSITION = 4  # the place of notification_id among the ten columns
_TIME = (1184).to_bytes(4, "big") + (8).to_bytes(
    4, "big"
)  # before recorded_at: the OID of timestamptz, its length
_NULL = 0xFFFFFFFF

Record = bytes
"""A row of the log in PostgreSQL's binary form."""


class Link(Struct, frozen=True):
    """A place in the chain: the seal that ends with a position."""

    position: Position = Position(0)
    seal: bytes = bytes(SIZE)


class Seal(Struct, frozen=True, gc=False):
    """A row of the chain. `sealed_at` is in PostgreSQL's binary form."""

    first: Position
    last: Position
    sealed_at: bytes
    digests: bytes
    seal: bytes


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
        if seal.first != before + 1 or len(sealed) != SIZE * count:
            link = Link(before, seal_before)
            return link, _misplaced(link, seal)
        covered = records[place : place + count]
        digests = b"".join([sha256(record).digest() for record in covered])
        sound = digests == sealed and sha256(seal_before + digests).digest() == seal.seal
        if not sound or _TIME + seal.sealed_at not in covered[-1]:
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
    found: dict[int, list[bytes]] = {place: [] for place in range(here, seal.last + 1)}
    for record in records:
        if (place := position(record)) in found:
            found[place].append(sha256(record).digest())
    present = b"".join(each[0] for each in found.values() if each)
    unharmed = sha256(link.seal + present).digest() == seal.seal
    for place, digests in found.items():
        at = Position(place)
        sealed = digest_at(seal, at)
        if not digests:
            return Fault(at, FaultKind.MISSING, "There is no event at this position.")
        if len(digests) > 1:
            return Fault(at, FaultKind.UNSEALED, "There is more than one event at this position.")
        if digests[0] != sealed and unharmed:
            return Fault(
                at, FaultKind.SEAL_BROKEN, "The event is as it was; the digest beside its seal is not."
            )
        if digests[0] != sealed:
            return Fault(at, FaultKind.CHANGED, "The event is not the one that was sealed.")
    if sha256(link.seal + seal.digests).digest() != seal.seal:
        detail = "The seal does not follow from the one before and the events that it covers."
        return Fault(Position(here), FaultKind.SEAL_BROKEN, detail)
    return Fault(Position(here), FaultKind.SEAL_BROKEN, "The seal's time is not that of its last event.")


def digest_at(seal: Seal, at: Position) -> bytes:
    """What was sealed at a position that the seal covers."""
    start = SIZE * (at - seal.first)
    return seal.digests[start : start + SIZE]


def position(record: Record) -> int:
    return int.from_bytes(column(record, _POSITION), "big", signed=True)


def moved(record: Record, to: Position) -> bytes:
    """The digest that an event would have at another position."""
    start, end = _span(record, _POSITION)
    return sha256(record[:start] + to.to_bytes(8, "big", signed=True) + record[end:]).digest()


def column(record: Record, number: int) -> bytes:
    """A column's bytes; none for NULL."""
    start, end = _span(record, number)
    return record[start:end]


def _span(record: Record, number: int) -> tuple[int, int]:
    start = 4  # behind the number of columns; each has its type and its length before it
    while True:
        size = int.from_bytes(record[start + 4 : start + 8], "big")
        start += 8
        size = 0 if size == _NULL else size
        if number == 0:
            return start, start + size
        number -= 1
        start += size
