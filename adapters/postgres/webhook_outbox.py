"""What is due at which endpoint, one sender at a time for each: the Outbox port. All times are the database's."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.rows import COLUMNS, recorded
from adapters.postgres.webhook_ledger import state_of
from adapters.postgres.webhooks import OPENED, Box, reached
from domain.webhook import signing
from services.ports.delivering import Attempted, Due, Lease, Turn

# Locked with its conditions once more, as another sender may have been there since they were looked at.
LEASE = """
WITH busy AS (
    SELECT owner, count(*) AS leases FROM work.webhooks WHERE lease_until > now() GROUP BY owner
), ranked AS (
    SELECT w.webhook, w.next_at,
        coalesce(b.leases, 0) + row_number() OVER (PARTITION BY w.owner ORDER BY w.next_at) AS place
    FROM work.webhooks AS w LEFT JOIN busy AS b USING (owner)
    WHERE w.next_at <= now() AND (w.lease_until IS NULL OR w.lease_until <= now())
), due AS MATERIALIZED (
    SELECT w.webhook FROM work.webhooks AS w
    WHERE w.webhook IN (SELECT webhook FROM ranked WHERE place <= %(per_owner)s ORDER BY next_at LIMIT %(limit)s)
        AND w.next_at <= now() AND (w.lease_until IS NULL OR w.lease_until <= now())
    FOR UPDATE SKIP LOCKED
)
UPDATE work.webhooks AS w SET lease = gen_random_uuid(), lease_until = now() + make_interval(secs => %(lease_s)s)
FROM due WHERE w.webhook = due.webhook
RETURNING w.webhook, w.lease
"""
RENEW = """
UPDATE work.webhooks SET lease_until = now() + make_interval(secs => %s) WHERE webhook = %s AND lease = %s
RETURNING now(), state, failures, failing_since, active AND not_before <= now()
"""
WAITING = """
SELECT d.delivery, d.attempts, d.first_attempt_at, d.position, d.next_at FROM work.webhook_deliveries AS d
WHERE d.webhook = %(webhook)s AND d.state = 'waiting' AND (%(open)s OR d.position = 0)
"""
DUE = f"""
SELECT found.delivery, found.attempts, found.first_attempt_at, {", ".join(f"e.{name}" for name in COLUMNS.split(", "))}
FROM ({{waiting}}) AS found LEFT JOIN log.events AS e ON e.notification_id = found.position
WHERE found.next_at <= now() ORDER BY found.next_at, found.position
"""
DUE_IN_ORDER = DUE.format(waiting=f"{WAITING} ORDER BY d.position LIMIT 1")
DUE_IN_ANY_ORDER = DUE.format(
    waiting=f"{WAITING} AND d.next_at <= now() ORDER BY d.next_at LIMIT %(at_most)s"
)
# A statement of its own: what comes behind it sees what others have stored until the row was ours.
LOCK = "SELECT webhook FROM work.webhooks WHERE webhook = %s AND lease = %s FOR UPDATE"
# One that was skipped meanwhile is not to be tried again.
SETTLE = """
UPDATE work.webhook_deliveries AS d SET
    attempts = d.attempts + 1,
    first_attempt_at = coalesce(d.first_attempt_at, each.at),
    last_attempt_at = each.at,
    state = CASE WHEN each.state = 'waiting' THEN d.state ELSE each.state END,
    next_at = CASE WHEN each.state = 'waiting' AND d.state = 'waiting'
        THEN now() + make_interval(secs => each.pause_s) END,
    ended_at = CASE WHEN each.state = 'waiting' THEN d.ended_at ELSE now() END,
    duration_ms = each.duration_ms, status = each.status, answer = each.answer, error = each.error
FROM unnest(
    %s::uuid[], %s::text[], %s::timestamptz[], %s::int[], %s::int[], %s::text[], %s::text[], %s::float8[]
) AS each (delivery, state, at, duration_ms, status, answer, error, pause_s)
WHERE d.delivery = each.delivery
"""
SUCCEEDED = """
UPDATE work.webhooks SET failures = 0, failing_since = NULL, succeeded_at = now(), not_before = '-infinity'
WHERE webhook = %(webhook)s
"""
FAILED = """
UPDATE work.webhooks SET failures = failures + 1, failing_since = coalesce(failing_since, %(at)s),
    not_before = now() + make_interval(secs => %(hold_s)s)
WHERE webhook = %(webhook)s
"""
# A trial goes before all, and waits for nothing.
RELEASE = """
UPDATE work.webhooks AS w SET lease = NULL, lease_until = NULL, next_at = least(
    (
        SELECT d.next_at FROM work.webhook_deliveries AS d
        WHERE d.webhook = w.webhook AND d.state = 'waiting' AND d.position = 0 LIMIT 1
    ),
    CASE WHEN w.active AND w.ordered THEN (
        SELECT greatest(d.next_at, w.not_before) FROM work.webhook_deliveries AS d
        WHERE d.webhook = w.webhook AND d.state = 'waiting' AND d.position > 0 ORDER BY d.position LIMIT 1
    ) WHEN w.active THEN (
        SELECT greatest(d.next_at, w.not_before) FROM work.webhook_deliveries AS d
        WHERE d.webhook = w.webhook AND d.state = 'waiting' AND d.position > 0 ORDER BY d.next_at LIMIT 1
    ) END
)
WHERE w.webhook = %s
"""


class PostgresOutbox:
    def __init__(self, pool: AsyncConnectionPool[Any], box: Box) -> None:
        self._pool = pool
        self._box = box

    async def lease(self, *, limit: int, per_owner: int, lease_s: float) -> Sequence[Lease]:
        asked = {"limit": limit, "per_owner": per_owner, "lease_s": lease_s}
        async with reached(self._pool) as connection:
            rows = await (await connection.execute(LEASE, asked)).fetchall()
        return [Lease(webhook, id) for webhook, id in rows]

    async def turn(self, lease: Lease, *, lease_s: float, at_most: int) -> Turn | None:
        async with reached(self._pool) as connection:
            held = await (await connection.execute(RENEW, (lease_s, lease.webhook, lease.id))).fetchone()
            if held is None:
                return None
            now, stored, failures, failing_since, open = held
            state = state_of(stored)
            asked = {"webhook": lease.webhook, "open": open, "at_most": at_most}
            due = DUE_IN_ORDER if state.ordered else DUE_IN_ANY_ORDER
            rows = await (await connection.execute(due.encode(), asked)).fetchall()
            if not rows or state.address is None:
                return None
            values = await self._opened(connection, lease.webhook, [state.address, *signing(state, now)])
        if state.address not in values or state.secret not in values:
            raise LookupError(f"The address or the secret of the webhook {lease.webhook} is lost.")
        return Turn(
            now=now,
            state=state,
            url=values[state.address],
            secrets=tuple(values[id] for id in signing(state, now) if id in values),
            failures=failures,
            failing_since=failing_since,
            due=[_due(row) for row in rows],
        )

    async def settle(
        self, lease: Lease, attempts: Sequence[Attempted], *, ok: bool | None, hold_s: float
    ) -> bool:
        columns = (
            [each.delivery for each in attempts],
            [each.state for each in attempts],
            [each.at for each in attempts],
            [each.duration_ms for each in attempts],
            [each.status for each in attempts],
            [each.answer for each in attempts],
            [each.error for each in attempts],
            [each.pause_s for each in attempts],
        )
        async with reached(self._pool) as connection, connection.transaction():
            if not await _locked(connection, lease):
                return False
            await connection.execute(SETTLE, columns)
            if ok is not None:
                outcome = SUCCEEDED if ok else FAILED
                await connection.execute(
                    outcome, {"webhook": lease.webhook, "hold_s": hold_s, "at": attempts[0].at}
                )
        return True

    async def release(self, lease: Lease) -> None:
        async with reached(self._pool) as connection, connection.transaction():
            if await _locked(connection, lease):
                await connection.execute(RELEASE, (lease.webhook,))

    async def _opened(
        self, connection: AsyncConnection[Any], webhook: UUID, ids: Sequence[UUID]
    ) -> dict[UUID, str]:
        rows = await (await connection.execute(OPENED, (webhook, list(ids)))).fetchall()
        return {id: self._box.open(webhook, id, bytes(sealed)) for id, sealed in rows}


async def _locked(connection: AsyncConnection[Any], lease: Lease) -> bool:
    return bool(await (await connection.execute(LOCK, (lease.webhook, lease.id))).fetchall())


def _due(row: Sequence[Any]) -> Due:
    id, attempts, first_attempt_at, *event = row
    return Due(
        id=id,
        attempts=attempts,
        first_attempt_at=first_attempt_at,
        event=None if event[0] is None else recorded(tuple(event)),
    )
