"""The queue as people look at it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from domain.ids import AccountId, RunId
from domain.outcome import Failure


class Place(Struct, frozen=True):
    """Where a waiting run stands. `position`: 1 is next. `eta_s`: until it begins; None: nobody can tell.

    `paused`: why nothing is claimed from its pool; empty: it is not paused.
    """

    position: int
    eta_s: float | None
    paused: str


class PoolStats(Struct, frozen=True):
    """`run_s`: what a run takes lately; None before the first has ended. `oldest_wait_s`: None when nothing waits."""

    name: str
    rank: int
    paused: bool
    active: int
    waiting: int
    completed: int
    failed: int
    cancelled: int
    oldest_wait_s: float | None
    run_s: float | None


class Stats(Struct, frozen=True):
    paused: bool
    pools: Sequence[PoolStats]


class DeadRun(Struct, frozen=True):
    """A run that failed for want of a machine, after all its retries."""

    run: RunId
    owner: AccountId
    pool: str
    attempts: int
    failed_at: datetime
    failure: Failure


class QueueView(Protocol):
    """Every method raises LogUnavailableError."""

    async def place(self, run: RunId) -> Place | None:
        """None when it does not wait, or the queue has not heard of it yet."""

    async def stats(self) -> Stats: ...

    async def dead(self, limit: int, after: tuple[datetime, RunId]) -> Sequence[DeadRun]:
        """The newest first, those before `after`."""
