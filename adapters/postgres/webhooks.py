"""What webhooks' owners see and ask for: the WebhookState port."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psycopg
import psycopg_pool
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from commands.webhook_state import Delivery, DeliveryState, Health, Replay
from domain.ids import AccountId, Position

TRIAL = "webhook.test.v1"

# What belongs to no event: the request that made it died on its way.
FORGET_ORPHANS = """
DELETE FROM work.webhook_sealed AS s
WHERE s.owner = %s AND s.made_at < now() - interval '1 hour'
    AND NOT EXISTS (SELECT FROM log.events AS e WHERE e.originator_id = s.webhook)
"""
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('webhooks of ' || %s::text, 0))"
COUNT = "SELECT count(DISTINCT webhook) FROM work.webhook_sealed WHERE owner = %s"
KEEP = "INSERT INTO work.webhook_sealed (id, webhook, owner, sealed) VALUES (%s, %s, %s, %s)"
OPENED = "SELECT id, sealed FROM work.webhook_sealed WHERE webhook = %s AND id = ANY(%s)"
OWNED = (
    "SELECT webhook FROM work.webhook_sealed WHERE owner = %s GROUP BY webhook ORDER BY min(made_at), webhook"
)
HEALTH = """
SELECT
    (SELECT count(*) FROM work.webhook_deliveries AS d WHERE d.webhook = w.webhook AND d.state = 'waiting'),
    w.failing_since, w.succeeded_at, w.next_at
FROM work.webhooks AS w WHERE w.webhook = %s
"""
# An endpoint that the log has but the follower has not seen yet has no row: its trial has to wait for it.
TRY_OUT = """
INSERT INTO work.webhook_deliveries (delivery, webhook, position, type)
SELECT %(delivery)s, %(webhook)s, 0, %(type)s
WHERE NOT EXISTS (
    SELECT FROM work.webhook_deliveries
    WHERE webhook = %(webhook)s AND position = 0 AND state = 'waiting' AND delivery <> %(delivery)s
)
ON CONFLICT (delivery) DO UPDATE SET webhook = EXCLUDED.webhook
RETURNING state
"""
LOOK_NOW = "UPDATE work.webhooks SET next_at = now() WHERE webhook = %s"
LOOK_NOW_ANYWAY = "UPDATE work.webhooks SET next_at = now(), not_before = '-infinity' WHERE webhook = %s"
DELIVERY = """
delivery, position, type, state, attempts, made_at, next_at, first_attempt_at, last_attempt_at, ended_at,
    duration_ms, status, answer, error, (SELECT id FROM log.identity)
"""
DELIVERIES = f"""
SELECT {DELIVERY} FROM work.webhook_deliveries
WHERE webhook = %s AND (made_at, delivery) < (%s, %s)
ORDER BY made_at DESC, delivery DESC LIMIT %s
"""
IN_STATE = f"""
SELECT {DELIVERY} FROM work.webhook_deliveries
WHERE webhook = %s AND (made_at, delivery) < (%s, %s) AND state = %s
ORDER BY made_at DESC, delivery DESC LIMIT %s
"""
# Asked twice by the same request it is sent once; what still waits is sent anyway, and now.
SEND_AGAIN = """
UPDATE work.webhook_deliveries SET
    state = CASE WHEN asked_by IS DISTINCT FROM %(asked_by)s THEN 'waiting' ELSE state END,
    next_at = CASE WHEN asked_by IS DISTINCT FROM %(asked_by)s THEN now() ELSE next_at END,
    first_attempt_at = CASE WHEN asked_by IS DISTINCT FROM %(asked_by)s THEN NULL ELSE first_attempt_at END,
    ended_at = CASE WHEN asked_by IS DISTINCT FROM %(asked_by)s THEN NULL ELSE ended_at END,
    asked_by = %(asked_by)s
WHERE webhook = %(webhook)s AND delivery = %(delivery)s
RETURNING state
"""
REPLAY = """
INSERT INTO work.webhook_replays (replay, webhook, position, until, types)
SELECT %(replay)s, %(webhook)s, %(after)s, %(until)s, %(types)s
WHERE NOT EXISTS (
    SELECT FROM work.webhook_replays
    WHERE webhook = %(webhook)s AND ended_at IS NULL AND replay <> %(replay)s
)
ON CONFLICT (replay) DO UPDATE SET webhook = EXCLUDED.webhook
RETURNING replay
"""
HEAD = "SELECT coalesce(max(notification_id), 0) FROM log.events"
AT = "SELECT recorded_at FROM log.events WHERE notification_id = %s"


class Box(Protocol):
    """Encrypts what belongs to a webhook."""

    def seal(self, webhook: UUID, id: UUID, text: str) -> bytes: ...

    def open(self, webhook: UUID, id: UUID, sealed: bytes) -> str: ...


@asynccontextmanager
async def reached(pool: AsyncConnectionPool[Any]) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection in autocommit mode. Raises LogUnavailableError."""
    try:
        async with pool.connection() as connection:
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
        raise LogUnavailableError("The webhooks cannot be reached at the moment.") from error


class PostgresWebhooks:
    def __init__(self, pool: AsyncConnectionPool[Any], box: Box) -> None:
        self._pool = pool
        self._box = box

    async def keep(
        self, webhook: UUID, owner: AccountId, values: Mapping[UUID, str], *, at_most: int | None = None
    ) -> bool:
        rows = [(id, webhook, owner, self._box.seal(webhook, id, text)) for id, text in values.items()]
        async with reached(self._pool) as connection, connection.transaction():
            if at_most is not None:
                await connection.execute(ONE_AT_A_TIME, (str(owner),))
                await connection.execute(FORGET_ORPHANS, (owner,))
                row = await (await connection.execute(COUNT, (owner,))).fetchone()
                if row is None or row[0] >= at_most:
                    return False
            for values_of_row in rows:
                await connection.execute(KEEP, values_of_row)
        return True

    async def opened(self, webhook: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
        rows = await self._fetch(OPENED, (webhook, list(ids)))
        return {id: self._box.open(webhook, id, bytes(sealed)) for id, sealed in rows}

    async def owned(self, owner: AccountId) -> Sequence[UUID]:
        return [webhook for (webhook,) in await self._fetch(OWNED, (owner,))]

    async def health(self, webhook: UUID) -> Health:
        for waiting, failing_since, succeeded_at, next_at in await self._fetch(HEALTH, (webhook,)):
            return Health(
                waiting=waiting, failing_since=failing_since, succeeded_at=succeeded_at, next_at=next_at
            )
        return Health()

    async def try_out(self, webhook: UUID, delivery: UUID) -> bool:
        asked = {"delivery": delivery, "webhook": webhook, "type": TRIAL}
        if not await self._fetch(TRY_OUT, asked):
            return False
        await self._fetch(LOOK_NOW, (webhook,))
        return True

    async def deliveries(
        self, webhook: UUID, *, state: DeliveryState | None, before: tuple[datetime, UUID], limit: int
    ) -> Sequence[Delivery]:
        if state is None:
            rows = await self._fetch(DELIVERIES, (webhook, *before, limit))
        else:
            rows = await self._fetch(IN_STATE, (webhook, *before, state, limit))
        return [_delivery(row) for row in rows]

    async def send_again(self, webhook: UUID, delivery: UUID, asked_by: UUID) -> bool:
        asked = {"webhook": webhook, "delivery": delivery, "asked_by": asked_by}
        if not await self._fetch(SEND_AGAIN, asked):
            return False
        await self._fetch(LOOK_NOW_ANYWAY, (webhook,))
        return True

    async def replay(self, replay: Replay) -> bool:
        asked = {
            "replay": replay.id,
            "webhook": replay.webhook,
            "after": replay.after,
            "until": replay.until,
            "types": list(replay.types),
        }
        return bool(await self._fetch(REPLAY, asked))

    async def position_before(self, at: datetime) -> Position:
        """Times never go back in the log: halving finds the place in twenty looks at an index."""
        low, high = Position(0), await self.head()
        while low < high:
            middle = Position((low + high + 1) // 2)
            rows = await self._fetch(AT, (middle,))
            if rows and rows[0][0] < at:
                low = middle
            else:
                high = Position(middle - 1)
        return low

    async def head(self) -> Position:
        ((head,),) = await self._fetch(HEAD, ())
        return Position(head)

    async def _fetch(self, query: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        async with reached(self._pool) as connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []


def _delivery(row: Sequence[Any]) -> Delivery:
    """From the columns named in DELIVERY."""
    (
        id,
        position,
        type,
        state,
        attempts,
        made,
        due,
        first,
        last,
        ended,
        duration,
        status,
        answer,
        error,
        log,
    ) = row
    return Delivery(
        id=id,
        position=Position(position),
        type=type,
        state=DeliveryState(state),
        attempts=attempts,
        made_at=made,
        next_at=due,
        first_attempt_at=first,
        last_attempt_at=last,
        ended_at=ended,
        duration_ms=duration,
        status=status,
        answer=answer,
        error=error,
        log=log,
    )
