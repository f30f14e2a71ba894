"""What the commands keep of webhooks, in memory. Nobody sends anything from here."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from msgspec.structs import replace

from adapters.memory.log import MemoryLog
from commands.webhook_state import Delivery, DeliveryState, Health, Replay
from domain.ids import AccountId, Position

EVERYTHING = 1_000_000
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryWebhooks:
    """The WebhookState port."""

    def __init__(self, log: MemoryLog) -> None:
        self.values: dict[UUID, tuple[UUID, AccountId, str]] = {}
        self.sent: dict[UUID, tuple[UUID, Delivery]] = {}
        self.replays: dict[UUID, Replay] = {}
        self._log = log

    async def keep(
        self, webhook: UUID, owner: AccountId, values: Mapping[UUID, str], *, at_most: int | None = None
    ) -> bool:
        if at_most is not None and len(await self.owned(owner)) >= at_most:
            return False
        self.values |= {id: (webhook, owner, text) for id, text in values.items()}
        return True

    async def opened(self, webhook: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
        return {id: text for id, (of, _, text) in self.values.items() if of == webhook and id in ids}

    async def owned(self, owner: AccountId) -> Sequence[UUID]:
        return list(dict.fromkeys(webhook for webhook, of, _ in self.values.values() if of == owner))

    async def health(self, webhook: UUID) -> Health:
        waiting = [each for of, each in self.sent.values() if of == webhook and each.state == "waiting"]
        return Health(waiting=len(waiting))

    async def try_out(self, webhook: UUID, delivery: UUID) -> bool:
        for id, (of, each) in self.sent.items():
            if of == webhook and each.position == 0 and each.state == "waiting" and id != delivery:
                return False
        if delivery not in self.sent:
            self.add(webhook, delivery, Position(0), "webhook.test.v1", LONG_AGO)
        return True

    async def deliveries(
        self, webhook: UUID, *, state: DeliveryState | None, before: tuple[datetime, UUID], limit: int
    ) -> Sequence[Delivery]:
        found = [
            each
            for of, each in self.sent.values()
            if of == webhook and (each.made_at, each.id) < before and state in (None, each.state)
        ]
        return sorted(found, key=lambda each: (each.made_at, each.id), reverse=True)[:limit]

    async def send_again(self, webhook: UUID, delivery: UUID, asked_by: UUID) -> bool:
        of, each = self.sent.get(delivery, (None, None))
        if of != webhook or each is None:
            return False
        self.sent[delivery] = (webhook, replace(each, state=DeliveryState.WAITING))
        return True

    async def replay(self, replay: Replay) -> bool:
        if any(each.webhook == replay.webhook and each.id != replay.id for each in self.replays.values()):
            return False
        self.replays[replay.id] = replay
        return True

    async def position_before(self, at: datetime) -> Position:
        return Position(sum(row.at < at for row in await self._log.rows(Position(0), EVERYTHING)))

    async def head(self) -> Position:
        return Position(len(await self._log.rows(Position(0), EVERYTHING)))

    def add(self, webhook: UUID, id: UUID, position: Position, type: str, at: datetime) -> None:
        """As the sender's side would."""
        waiting = Delivery(
            id=id,
            position=position,
            type=type,
            state=DeliveryState.WAITING,
            attempts=0,
            made_at=at,
            next_at=at,
            first_attempt_at=None,
            last_attempt_at=None,
            ended_at=None,
            duration_ms=None,
            status=None,
            answer=None,
            error=None,
            log=UUID(int=0),
        )
        self.sent[id] = (webhook, waiting)
