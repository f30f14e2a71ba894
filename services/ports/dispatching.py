"""What dispatch needs of the world: the queue, the log, where it listens."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, Digest, Position, RunId
from services.ports.messages import ClaimRequest, HeldAttempt


class Expired(Struct, frozen=True):
    """An attempt whose lease ran out."""

    run: RunId
    epoch: int
    executor: str


class Revoked(Struct, frozen=True):
    """An attempt that an executor should stop."""

    executor: str
    attempt: HeldAttempt


class QueueUnavailableError(Exception):
    """The queue cannot be reached. What was asked may have happened or not."""


class TooEarlyError(QueueUnavailableError):
    """What has to be known first is not known yet: ask again."""


class RunQueue(Protocol):
    """The queue's order and leases: working state, folded from `run.*` events.

    Every method raises QueueUnavailableError.
    """

    async def position(self) -> Position:
        """The last event that is known to be folded in; another process may be further."""

    async def apply(self, events: Sequence[AnyRecorded], upto: Position) -> Sequence[Revoked] | None:
        """Fold the events between `position` and `upto`; they and the checkpoint commit together.

        Returns held attempts that were cancelled. None: another process was faster, and nothing was changed.
        """

    async def claim(self, request: ClaimRequest, lease_until: datetime) -> "Claimed | Kept | None":
        """Pick the next run for this backend, lease it and append run.claimed, in one transaction.

        Raises StaleStreamError when the queue lags behind the log for the run it picked.
        """

    async def renew(
        self, executor: str, attempts: Sequence[HeldAttempt], lease_until: datetime
    ) -> Mapping[HeldAttempt, Digest]:
        """Prolong leases; returns those that are (still) this executor's, with the digests of their graphs."""

    async def held(self, executor: str) -> Sequence["Claimed"]: ...

    async def expired(self, now: datetime) -> Sequence[Expired]: ...

    async def waiting(self) -> bool:
        """Whether a run could be claimed now."""

    async def see_backend(self, name: str, executor: str, live: bool, until: datetime) -> None: ...

    async def lapsed_backends(self, now: datetime) -> Sequence[str]:
        """Backends believed alive whose executor has been silent for too long."""

    async def backend_gone(self, name: str) -> None: ...


class LogPage(Struct, frozen=True):
    """What the log has of some topics between a position and `upto`, in order."""

    events: Sequence[AnyRecorded]
    upto: Position


class RunLog(Protocol):
    """The log as dispatch follows it."""

    async def after(self, position: Position, limit: int, topics: frozenset[str]) -> LogPage:
        """The next events of these topics. `upto` is the log's end, or the last event of a full page."""

    async def grown(self, timeout_s: float) -> None:
        """Return when something was appended, or after the time-out."""


class ClaimTokens(Protocol):
    def claim_token(self, run: RunId, epoch: int, graph: Digest, expires_at: datetime) -> str:
        """What opens the graph and takes the outputs of one attempt."""


class Claimed(Struct, frozen=True, kw_only=True):
    """`version`: the run's, when it was claimed. `prompted`: a client of ComfyUI sent it; `extra`: and this with it."""

    run: RunId
    version: int
    epoch: int
    owner: AccountId
    backend: str
    graph: Digest
    timeout_s: int
    position: Position
    prompted: bool = False
    extra: Digest | None = None


class Kept(Struct, frozen=True):
    """There is nothing but prompts that are left to another backend, which has their accounts' last ones in its cache:
    the first of them for so long."""

    for_s: float


Responder: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]
"""Answers one request: the executor's name out of the subject, the body; returns the answer's body."""


class DispatchServer(Protocol):
    """Where dispatch listens, in a queue group with its peers, and what it calls out."""

    @property
    def listening(self) -> bool:
        """Whether executors can be heard now."""

    async def serve(self, responders: dict[str, Responder]) -> None:
        """Listen on `runs.<verb>.<executor>` for each verb."""

    async def wake(self) -> None:
        """Tell executors that there may be something to claim."""

    async def cancel(self, executor: str, attempt: HeldAttempt) -> None: ...
