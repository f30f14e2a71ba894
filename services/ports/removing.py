"""What it takes to remove the objects that a deleted run or input, or a workflow's picture, has left behind."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from domain.ids import Digest, Position, RunId


class Removal(Struct, frozen=True):
    """`position`: of the deletion. What needs the object since then is known to whoever has taken that in."""

    digest: Digest
    position: Position


class RemovalLedger(Protocol):
    """Which objects are to be looked at. Every method raises LogUnavailableError."""

    async def position(self) -> Position:
        """Up to where the log was looked through."""

    async def note(self, removals: Sequence[Removal], due_at: datetime, upto: Position) -> None:
        """Both or nothing; one that is noted again is due later."""

    async def due(self, now: datetime, limit: int) -> Sequence[Removal]:
        """Those that were due first."""

    async def later(self, removals: Sequence[Removal], due_at: datetime) -> None: ...

    async def done(self, removals: Sequence[Removal]) -> None: ...

    async def let_renditions_go(self, made_before: datetime, now: datetime) -> None:
        """Forget which they are, and have a look at their objects."""


class Needs(Protocol):
    """What the log and the read models say of objects."""

    async def reached(self, position: Position) -> bool:
        """Whether they have taken in that position."""

    async def stored_by(self, runs: Sequence[RunId]) -> set[Digest]:
        """Everything that some runs have stored, also in attempts that were lost, and renditions of it."""

    async def needed(self, digests: Collection[Digest]) -> set[Digest]:
        """Those that are an output or an input of anybody, or show a workflow."""

    async def awaited(self, digests: Collection[Digest]) -> set[Digest]:
        """Those that a run which is not over loads."""
