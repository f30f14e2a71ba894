"""What sending webhooks needs of the world: what is to be sent, and somebody who dials out."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from commands.webhook_state import DeliveryState, Replay
from domain.event import AnyRecorded
from domain.ids import AccountId, Position
from domain.webhook import Webhook


class Endpoint(Struct, frozen=True):
    id: UUID
    state: Webhook


class Made(Struct, frozen=True):
    """A new delivery: an event that an endpoint wants."""

    id: UUID
    webhook: UUID
    position: Position
    type: str


class Effect(Struct, frozen=True, kw_only=True):
    """What follows from consecutive events.

    `changed`: endpoints with their new states. `stopped`: those that want nothing any more, and since which
    position. `retried`: those that are tried again at once. `forgotten`: addresses and secrets out of use.
    """

    made: Sequence[Made]
    changed: Sequence[Endpoint]
    stopped: Mapping[UUID, Position]
    retried: Collection[UUID]
    forgotten: Collection[UUID]
    deleted: Collection[UUID]


class Ledger(Protocol):
    """Raises LogUnavailableError."""

    async def position(self) -> Position: ...

    async def any(self) -> bool:
        """Whether there is any endpoint."""

    async def endpoints(
        self, ids: Collection[UUID], owners: Collection[AccountId], *, everybodys: bool
    ) -> Sequence[Endpoint]:
        """These, those of these owners, and if asked for those that want what everybody is told."""

    async def store(self, effect: Effect, *, before: Position, upto: Position) -> None:
        """Effect and checkpoint in one transaction. Raises MovedError when the checkpoint is not at `before`."""

    async def open_replays(self) -> Sequence[tuple[Replay, Endpoint]]:
        """Those with something left, whose endpoint has not too much to send already."""

    async def replayed(self, replay: Replay, made: Sequence[Made], upto: Position) -> None:
        """Deliveries and the replay's progress in one transaction. What was delivered is sent once more.

        Nothing happens when the replay is no longer at its `after`.
        """

    async def collect(self, days: int) -> None:
        """Remove what ended so many days ago, and what nobody can name any more."""

    async def overfull(self, waiting: int) -> Sequence[UUID]:
        """Active endpoints with more deliveries than that waiting."""


class MovedError(Exception):
    """Another process has moved the checkpoint."""


class Lease(Struct, frozen=True):
    """An endpoint that is this sender's for a while."""

    webhook: UUID
    id: UUID


class Due(Struct, frozen=True, kw_only=True):
    """A delivery whose time has come. `event` is None for a trial."""

    id: UUID
    attempts: int
    first_attempt_at: datetime | None
    event: AnyRecorded | None


class Turn(Struct, frozen=True, kw_only=True):
    """What is due at a leased endpoint, and what is needed to send it. `now` is the database's time."""

    now: datetime
    state: Webhook
    url: str
    secrets: tuple[str, ...]
    failures: int
    failing_since: datetime | None
    due: Sequence[Due]


class Attempted(Struct, frozen=True, kw_only=True):
    """What came of one attempt. `pause_s`: when the next is due, from now; None unless it still waits."""

    delivery: UUID
    state: DeliveryState
    at: datetime
    duration_ms: int
    status: int | None
    answer: str
    error: str
    pause_s: float | None


class Outbox(Protocol):
    """Raises LogUnavailableError."""

    async def lease(self, *, limit: int, per_owner: int, lease_s: float) -> Sequence[Lease]:
        """Endpoints whose time has come and that are nobody else's."""

    async def turn(self, lease: Lease, *, lease_s: float, at_most: int) -> Turn | None:
        """What is due there, the lease renewed; None: the lease is lost, or there is nothing to do."""

    async def settle(
        self, lease: Lease, attempts: Sequence[Attempted], *, ok: bool | None, hold_s: float
    ) -> bool:
        """Store what came of a turn. False: the lease is lost, and nothing is stored.

        `ok`: whether anything was taken; None: only a trial was made. `hold_s`: nothing else is sent there so long.
        """

    async def release(self, lease: Lease) -> None:
        """Let others have it, when its time comes."""


class Answer(Struct, frozen=True):
    """`body`: its beginning. `retry_after`: that header. `error`: why there is no status."""

    status: int | None
    body: bytes = b""
    retry_after: str = ""
    error: str = ""


class Post(Protocol):
    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Whatever goes wrong is an answer too; no longer than its own time limits."""


class Sign(Protocol):
    def __call__(self, secrets: Sequence[str], id: str, at: datetime, body: bytes) -> str: ...
