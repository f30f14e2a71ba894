"""What can be shown to others: a signed statement of how the log stood, and the chain of seals that leads there."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.ids import Position
from domain.seal import SIZE, Fault, FaultKind, Form, Link, Seal

FORMAT = "comfyplus seals 2"


class Signer(Protocol):
    """An Ed25519 key. Both answers are in hexadecimal."""

    @property
    def public_key(self) -> str: ...

    def sign(self, message: bytes) -> str: ...


class Checkpoint(Struct, frozen=True, kw_only=True):
    """At `at` the log with this id ended at the position, with this seal. All bytes are in hexadecimal."""

    log: UUID
    position: Position
    seal: str
    at: str
    public_key: str
    signature: str

    @property
    def link(self) -> Link:
        """Raises ValueError."""
        return Link(self.position, bytes.fromhex(self.seal))


class ChainHeader(Struct, frozen=True, kw_only=True):
    """The first line of an exported chain."""

    format: str
    log: UUID


class ChainLine(Struct, frozen=True, omit_defaults=True):
    """A seal, as an exported chain has it: in hexadecimal. `at` is the time that it covers, if it covers one."""

    first: Position
    last: Position
    digests: str
    seal: str
    at: str = ""


def statement(log: UUID, position: Position, seal: str, at: str) -> bytes:
    """What is signed: five lines, each with a line feed."""
    return f"comfyplus log checkpoint 1\n{log}\n{position}\n{seal}\n{at}\n".encode()


def signed(log: UUID, link: Link, at: datetime, signer: Signer) -> Checkpoint:
    seal, when = link.seal.hex(), at.astimezone(UTC).isoformat(timespec="seconds")
    signature = signer.sign(statement(log, link.position, seal, when))
    return Checkpoint(
        log=log,
        position=link.position,
        seal=seal,
        at=when,
        public_key=signer.public_key,
        signature=signature,
    )


def header(log: UUID) -> bytes:
    return msgspec.json.encode(ChainHeader(format=FORMAT, log=log)) + b"\n"


def line(seal: Seal) -> bytes:
    at = "" if seal.form == Form.ROWS else seal.sealed_at.hex()
    shown = ChainLine(seal.first, seal.last, seal.digests.hex(), seal.seal.hex(), at)
    return msgspec.json.encode(shown) + b"\n"


class Witness:
    """What was known of the log earlier, held against the log as it is now, seal by seal."""

    def __init__(self, checkpoint: Checkpoint, chain: Iterator[ChainLine] = iter(())) -> None:
        """Without the chain only the checkpoint's own seal can be compared."""
        self._end = checkpoint.link
        self._chain = chain
        self._known = bytearray()  # digests of the chain that the log was not yet asked for
        self._next = Position(1)  # the position of the first of them

    def meets(self, seal: Seal) -> Fault | None:
        """Of a seal that is sound: whether it is the one that was there earlier. To be asked in order."""
        if fault := self._digests_differ(seal):
            return fault
        if seal.last < self._end.position or seal.first > self._end.position:
            return None
        if Link(seal.last, seal.seal) == self._end:
            return None
        detail = "The chain up to here is sound, but it is not the one that was signed."
        return Fault(self._end.position, FaultKind.REWRITTEN, detail)

    def missing(self, head: Link) -> Fault | None:
        """At the end of the log."""
        if head.position >= self._end.position:
            return None
        detail = f"The log ends here; when it was signed it went on to position {self._end.position}."
        return Fault(Position(head.position + 1), FaultKind.MISSING, detail)

    def _digests_differ(self, seal: Seal) -> Fault | None:
        if seal.first < self._next:
            return None
        while self._next + len(self._known) // SIZE <= seal.last and (each := next(self._chain, None)):
            self._known += bytes.fromhex(each.digests)
        skipped = SIZE * (seal.first - self._next)
        now, then = seal.digests, bytes(self._known[skipped : skipped + len(seal.digests)])
        self._next = Position(seal.last + 1)
        del self._known[: skipped + len(seal.digests)]
        for start in range(0, len(then), SIZE):
            if now[start : start + SIZE] != then[start : start + SIZE]:
                at = Position(seal.first + start // SIZE)
                detail = "The event is sealed anew; it is not the one of the earlier chain."
                return Fault(at, FaultKind.REWRITTEN, detail)
        return None
