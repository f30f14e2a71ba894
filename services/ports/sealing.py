"""What the audit needs of the world: the log with its seals, a memory, and a clock."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.ids import Position
from domain.seal import Fault, Link, Seal, SealedPage


class Ancestor(Struct, frozen=True):
    """An identity that the log had before it was restored: the same log up to the position."""

    id: UUID
    position: Position
    seal: bytes
    restored_at: datetime


class SealedLog(Protocol):
    """The log as it is stored now. Synchronous: who follows it hashes all the time, and does so in a thread.

    Every method raises LogUnavailableError while Postgres is away.
    """

    def identity(self) -> UUID: ...

    def ancestors(self) -> Sequence[Ancestor]: ...

    def head(self) -> Link:
        """The newest seal."""

    def before(self, position: Position) -> Link:
        """The last seal that ends before a position."""

    def page(self, link: Link, most: int) -> SealedPage:
        """What follows: about so many events. Empty at the end."""

    def seals(self, after: Position, upto: Position) -> Sequence[Seal]:
        """Those that end after one position and not after the other."""

    def unsealed(self) -> Position | None:
        """The first event that no seal can cover: behind the newest, or before the first position."""

    def record(self, position: Position) -> bytes | None: ...


class Finding(Struct, frozen=True, kw_only=True):
    """How far a part of the audit has come. `rounds`: how often it was at the end."""

    link: Link = Link()
    at: datetime
    rounds: int = 0
    fault: Fault | None = None
    since: datetime | None = None


class Audits(Protocol):
    """Findings by name: `tail` and `round`. Raises LogUnavailableError."""

    def read(self) -> dict[str, Finding]: ...

    def keep(self, name: str, finding: Finding) -> None: ...
