"""Endpoints as the log has them so far, and the deliveries that follow from events: the Ledger port."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.webhooks import reached
from commands.webhook_state import Replay
from domain.ids import AccountId, Position
from domain.webhook import Webhook
from services.ports.delivering import Effect, Endpoint, Made, MovedError

POSITION = "SELECT position FROM work.checkpoints WHERE name = 'webhooks'"
ANY = "SELECT EXISTS (SELECT FROM work.webhooks)"
MOVE = (
    "UPDATE work.checkpoints SET position = %s WHERE name = 'webhooks' AND position = %s RETURNING position"
)
ENDPOINTS = """
SELECT webhook, state FROM work.webhooks
WHERE webhook = ANY(%s) OR owner = ANY(%s) OR (%s AND everybody AND active)
"""
# Whatever has changed, its sender looks again.
CHANGE = """
INSERT INTO work.webhooks (webhook, owner, everybody, ordered, active, state, next_at)
VALUES (%(webhook)s, %(owner)s, %(everybody)s, %(ordered)s, %(active)s, %(state)s, now())
ON CONFLICT (webhook) DO UPDATE SET
    everybody = EXCLUDED.everybody, ordered = EXCLUDED.ordered, active = EXCLUDED.active,
    state = EXCLUDED.state, next_at = now()
"""
MAKE = """
INSERT INTO work.webhook_deliveries (delivery, webhook, position, type)
SELECT each.* FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::text[]) AS each
ON CONFLICT (delivery) DO NOTHING
"""
AGAIN = """
INSERT INTO work.webhook_deliveries AS d (delivery, webhook, position, type)
SELECT each.* FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::text[]) AS each
ON CONFLICT (delivery) DO UPDATE SET state = 'waiting', next_at = now(), first_attempt_at = NULL, ended_at = NULL
WHERE d.state <> 'waiting'
"""
# An ordered endpoint that has something to send already goes on with that. Its row is written all the same: a sender
# that is about to say that nothing is left has to wait for us, and then sees what there is.
WAKE = """
UPDATE work.webhooks SET
    next_at = CASE WHEN next_at IS NULL OR NOT ordered THEN greatest(now(), not_before) ELSE next_at END
WHERE webhook = ANY(%s)
"""
SKIP = """
UPDATE work.webhook_deliveries SET state = 'skipped', next_at = NULL, ended_at = now()
WHERE webhook = %s AND state = 'waiting' AND position > 0 AND position < %s
"""
END_REPLAYS = "UPDATE work.webhook_replays SET ended_at = now() WHERE webhook = ANY(%s) AND ended_at IS NULL"
RETRY_NOW = "UPDATE work.webhook_deliveries SET next_at = now() WHERE webhook = ANY(%s) AND state = 'waiting'"
FORGIVE = """
UPDATE work.webhooks SET not_before = '-infinity', failures = 0, failing_since = NULL WHERE webhook = ANY(%s)
"""
FORGET = "DELETE FROM work.webhook_sealed WHERE id = ANY(%s)"
DELETE = [
    "DELETE FROM work.webhook_sealed WHERE webhook = ANY(%s)",
    "DELETE FROM work.webhook_deliveries WHERE webhook = ANY(%s)",
    "DELETE FROM work.webhook_replays WHERE webhook = ANY(%s)",
    "DELETE FROM work.webhooks WHERE webhook = ANY(%s)",
]
OPEN_REPLAYS = """
SELECT r.replay, r.webhook, r.position, r.until, r.types, w.state
FROM work.webhook_replays AS r JOIN work.webhooks AS w USING (webhook)
WHERE r.ended_at IS NULL AND (
    SELECT count(*) FROM (
        SELECT FROM work.webhook_deliveries AS d WHERE d.webhook = r.webhook AND d.state = 'waiting' LIMIT %(enough)s
    ) AS waiting
) < %(enough)s
ORDER BY r.made_at LIMIT 100
"""
PROGRESS = """
UPDATE work.webhook_replays SET position = %(upto)s, ended_at = CASE WHEN %(upto)s >= until THEN now() END
WHERE replay = %(replay)s AND position = %(before)s AND ended_at IS NULL RETURNING replay
"""
COLLECT = [
    """
DELETE FROM work.webhook_deliveries WHERE delivery IN (
    SELECT delivery FROM work.webhook_deliveries WHERE ended_at < now() - make_interval(days => %s) LIMIT 10000
)
""",
    "DELETE FROM work.webhook_replays WHERE ended_at < now() - make_interval(days => %s)",
]
OVERFULL = """
SELECT d.webhook FROM work.webhook_deliveries AS d JOIN work.webhooks AS w USING (webhook)
WHERE d.state = 'waiting' AND w.active GROUP BY d.webhook HAVING count(*) > %s
"""
ENOUGH = 5000  # a replay waits while so many deliveries of its endpoint do

_encode = msgspec.json.Encoder().encode


def state_of(state: Any) -> Webhook:
    """From jsonb."""
    return msgspec.convert(state, Webhook)


class PostgresLedger:
    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def position(self) -> Position:
        ((position,),) = await self._fetch(POSITION, ())
        return Position(position)

    async def any(self) -> bool:
        ((there,),) = await self._fetch(ANY, ())
        return bool(there)

    async def endpoints(
        self, ids: Collection[UUID], owners: Collection[AccountId], *, everybodys: bool
    ) -> Sequence[Endpoint]:
        rows = await self._fetch(ENDPOINTS, (list(ids), list(owners), everybodys))
        return [Endpoint(webhook, state_of(state)) for webhook, state in rows]

    async def store(self, effect: Effect, *, before: Position, upto: Position) -> None:
        async with reached(self._pool) as connection, connection.transaction():
            if not await (await connection.execute(MOVE, (upto, before))).fetchall():
                raise MovedError(f"The webhooks' checkpoint is no longer at {before}.")
            for endpoint in effect.changed:
                await connection.execute(CHANGE, _row(endpoint))
            await _make(connection, MAKE, effect.made)
            for webhook, position in effect.stopped.items():
                await connection.execute(SKIP, (webhook, position))
            for statement, ids in (
                (END_REPLAYS, effect.stopped),
                (RETRY_NOW, effect.retried),
                (FORGIVE, effect.retried),
                (FORGET, effect.forgotten),
                *((statement, effect.deleted) for statement in DELETE),
            ):
                if ids:
                    await connection.execute(statement, (list(ids),))

    async def open_replays(self) -> Sequence[tuple[Replay, Endpoint]]:
        return [
            (
                Replay(
                    id=id, webhook=webhook, after=Position(after), until=Position(until), types=tuple(types)
                ),
                Endpoint(webhook, state_of(state)),
            )
            for id, webhook, after, until, types, state in await self._fetch(OPEN_REPLAYS, {"enough": ENOUGH})
        ]

    async def replayed(self, replay: Replay, made: Sequence[Made], upto: Position) -> None:
        progress = {"replay": replay.id, "before": replay.after, "upto": upto}
        async with reached(self._pool) as connection, connection.transaction():
            if await (await connection.execute(PROGRESS, progress)).fetchall():
                await _make(connection, AGAIN, made)

    async def collect(self, days: int) -> None:
        for statement in COLLECT:
            await self._fetch(statement, (days,))

    async def overfull(self, waiting: int) -> Sequence[UUID]:
        return [webhook for (webhook,) in await self._fetch(OVERFULL, (waiting,))]

    async def _fetch(self, query: str, values: Any) -> list[Any]:
        async with reached(self._pool) as connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []


async def _make(connection: AsyncConnection[Any], statement: str, made: Sequence[Made]) -> None:
    if not made:
        return
    columns = (
        [each.id for each in made],
        [each.webhook for each in made],
        [each.position for each in made],
        [each.type for each in made],
    )
    await connection.execute(statement.encode(), columns)
    await connection.execute(WAKE, (list({each.webhook for each in made}),))


def _row(endpoint: Endpoint) -> dict[str, Any]:
    state = endpoint.state
    return {
        "webhook": endpoint.id,
        "owner": state.owner,
        "everybody": state.everybody,
        "ordered": state.ordered,
        "active": state.active,
        "state": _encode(state).decode(),
    }
