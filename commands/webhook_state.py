"""What the commands keep of webhooks beside the log: what is secret, and what is to be sent."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.ids import AccountId, Position


class DeliveryState(StrEnum):
    """Skipped: the webhook was paused, disabled or deleted before its turn came."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


class Delivery(Struct, frozen=True, kw_only=True):
    """One event for one webhook, and what came of it.

    `position` 0: a trial. `answer`: its first 1024 bytes. `log`: the log's identity.
    """

    id: UUID
    position: Position
    type: str
    state: DeliveryState
    attempts: int
    made_at: datetime
    next_at: datetime | None
    first_attempt_at: datetime | None
    last_attempt_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    status: int | None
    answer: str | None
    error: str | None
    log: UUID


class Health(Struct, frozen=True, kw_only=True):
    """`failing_since`: nothing was delivered since."""

    waiting: int = 0
    failing_since: datetime | None = None
    succeeded_at: datetime | None = None
    next_at: datetime | None = None


class Replay(Struct, frozen=True, kw_only=True):
    """Positions above `after` up to `until` are to be sent once more; of these types, or all."""

    id: UUID
    webhook: UUID
    after: Position
    until: Position
    types: tuple[str, ...]


class WebhookState(Protocol):
    """Every method raises LogUnavailableError."""

    async def keep(
        self, webhook: UUID, owner: AccountId, values: Mapping[UUID, str], *, at_most: int | None = None
    ) -> bool:
        """Store addresses or secrets, encrypted. False: the owner has `at_most` webhooks already."""

    async def opened(self, webhook: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
        """Those that are (still) kept."""

    async def owned(self, owner: AccountId) -> Sequence[UUID]:
        """Every webhook that the owner may have, the oldest first."""

    async def health(self, webhook: UUID) -> Health: ...

    async def try_out(self, webhook: UUID, delivery: UUID) -> bool:
        """Have a trial sent. False: one is still waiting."""

    async def deliveries(
        self, webhook: UUID, *, state: DeliveryState | None, before: tuple[datetime, UUID], limit: int
    ) -> Sequence[Delivery]:
        """The newest first. `before`: time and id of the last one seen."""

    async def send_again(self, webhook: UUID, delivery: UUID, asked_by: UUID) -> bool:
        """Have it sent once more, once for each `asked_by`. False: there is no such delivery."""

    async def replay(self, replay: Replay) -> bool:
        """Have a range sent once more. False: another one of this webhook is under way."""

    async def position_before(self, at: datetime) -> Position:
        """The last event that happened before this time; 0: none."""

    async def head(self) -> Position: ...
