"""The run queue: working state folded from the log, with leases that the log does not know of.

A claim writes the queue and the log in one transaction. Everything else the queue learns from the log.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import psycopg
from msgspec import Struct
from psycopg_pool import AsyncConnectionPool

from commands.ports import StaleStreamError
from domain import run as run_rules
from domain.catalogue import CATALOGUE
from domain.event import AnyRecorded, topic
from domain.ids import AccountId, Digest, Position, RunId
from domain.run import (
    Run,
    RunCancelled,
    RunClaimed,
    RunFailed,
    RunRequeued,
    RunSubmitted,
    RunSucceeded,
    Status,
)
from services.ports.dispatching import Claimed, Expired, QueueUnavailableError, Revoked
from services.ports.messages import ClaimRequest, HeldAttempt

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]

FIRST_EPOCH = 1  # of most claims: few runs are claimed again
RANK_S = 600  # seconds of waiting that weigh as much as one step of priority

CHECKPOINT = "SELECT position FROM work.checkpoints WHERE name = 'dispatch'"
APPLY = """
WITH moved AS (
    UPDATE work.checkpoints SET position = %(upto)s WHERE name = 'dispatch' AND position = %(position)s
    RETURNING position
), change AS MATERIALIZED (
    SELECT each.* FROM moved CROSS JOIN jsonb_to_recordset(%(changes)s::jsonb) AS each (
        run uuid, version bigint, owner uuid, rank float8, graph text, timeout_s int, state text,
        not_before timestamptz, epoch int, backend text, executor text, position bigint, over bool, cancelled bool
    )
), inserted AS (
    INSERT INTO work.queue (
        run, version, owner, state, rank, not_before, graph, timeout_s, epoch, backend, executor, lease_until, position
    )
    SELECT run, version, owner, state, rank, not_before, graph, timeout_s, coalesce(epoch, 0), backend, executor,
        CASE WHEN state = 'held' THEN now() + interval '1 minute' END, position
    FROM change WHERE owner IS NOT NULL AND NOT over
    ON CONFLICT (run) DO NOTHING
), updated AS (
    UPDATE work.queue AS q SET
        version = c.version,
        state = coalesce(c.state, q.state),
        not_before = coalesce(c.not_before, q.not_before),
        epoch = coalesce(c.epoch, q.epoch),
        backend = CASE WHEN c.state IS NULL THEN q.backend ELSE c.backend END,
        executor = CASE WHEN c.state IS NULL THEN q.executor ELSE c.executor END,
        lease_until = CASE coalesce(c.state, q.state)
            WHEN 'held' THEN coalesce(q.lease_until, now() + interval '1 minute') END,
        position = coalesce(c.position, q.position)
    FROM change AS c WHERE c.owner IS NULL AND NOT c.over AND q.run = c.run AND q.version < c.version
), deleted AS (
    DELETE FROM work.queue AS q USING change AS c WHERE c.over AND q.run = c.run
    RETURNING q.run, q.epoch, q.executor, c.cancelled
)
SELECT NULL, NULL, NULL FROM moved
UNION ALL
SELECT run, epoch, executor FROM deleted WHERE cancelled AND executor IS NOT NULL
"""
# The one place where it is decided which run is next. The event is made for an epoch: when the next run's is another
# one, nothing happens but that this is told. What is appended depends on the row, so that the order lock of the log
# is taken after the row is found, and nobody else can append between that and the commit.
CLAIM = """
WITH next AS MATERIALIZED (
    SELECT run, version, owner, epoch, graph, timeout_s FROM work.queue
    WHERE state = 'waiting' AND not_before <= now()
    ORDER BY rank, run LIMIT 1
    FOR UPDATE SKIP LOCKED
), appended AS MATERIALIZED (
    SELECT next.run, done.base, done.stale FROM next CROSS JOIN LATERAL log.append(
        ARRAY[next.run], ARRAY[next.version + 1], ARRAY[%(topic)s], ARRAY[%(event)s], ARRAY[next.owner],
        ARRAY['dispatch'], ARRAY[next.run], ARRAY[NULL::bigint],
        ARRAY[1], ARRAY[next.run], ARRAY[next.version],
        '{}', '{}', '{}'
    ) AS done
    WHERE next.epoch + 1 = %(epoch)s
), held AS (
    UPDATE work.queue AS q
    SET state = 'held', version = q.version + 1, epoch = %(epoch)s, backend = %(backend)s,
        executor = %(executor)s, lease_until = %(lease_until)s, position = appended.base + 1
    FROM appended WHERE q.run = appended.run AND appended.stale IS NULL
    RETURNING q.position
)
SELECT next.run, next.version, next.epoch, next.owner, next.graph, next.timeout_s, held.position
FROM next LEFT JOIN held ON true
"""
RENEW = """
UPDATE work.queue AS q SET lease_until = %s
FROM unnest(%s::uuid[], %s::int[]) AS held (run, epoch)
WHERE q.run = held.run AND q.epoch = held.epoch AND q.executor = %s AND q.state = 'held'
RETURNING q.run, q.epoch, q.graph
"""
HELD = """
SELECT run, version, epoch, owner, backend, graph, timeout_s, position FROM work.queue
WHERE executor = %s AND state = 'held' ORDER BY position
"""
EXPIRED = """
SELECT run, epoch, executor FROM work.queue WHERE state = 'held' AND lease_until < %s ORDER BY lease_until LIMIT 500
"""
WAITING = "SELECT EXISTS (SELECT FROM work.queue WHERE state = 'waiting' AND not_before <= now())"
SEE = """
INSERT INTO work.backends (name, executor, live, seen_until) VALUES (%s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE
SET executor = EXCLUDED.executor, live = EXCLUDED.live, seen_until = EXCLUDED.seen_until
"""
LAPSED = "SELECT name FROM work.backends WHERE live AND seen_until < %s"
GONE = "UPDATE work.backends SET live = false WHERE name = %s"


class _Change(Struct, kw_only=True):
    """What a batch of events does to one run's row; None = as it was. With an owner it was submitted in the batch."""

    run: UUID
    version: int = 0
    owner: UUID | None = None
    rank: float | None = None
    graph: str | None = None
    timeout_s: int | None = None
    state: str | None = None
    not_before: datetime | None = None
    epoch: int | None = None
    backend: str | None = None
    executor: str | None = None
    position: Position | None = None
    over: bool = False
    cancelled: bool = False


class PostgresQueue:
    """The RunQueue port. Remembers the checkpoint: one that another process has moved refuses what rests on it."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._position: Position | None = None

    async def position(self) -> Position:
        if self._position is None:
            ((position,),) = await self._fetch(CHECKPOINT, ())
            self._position = Position(position)
        return self._position

    async def apply(self, events: Sequence[AnyRecorded], upto: Position) -> Sequence[Revoked] | None:
        position = await self.position()
        self._position = None  # until the outcome is known
        changes = msgspec.json.encode(list(_changes(events).values())).decode()
        rows = await self._fetch(APPLY, {"position": position, "upto": upto, "changes": changes})
        if not rows:
            return None
        self._position = upto
        return [Revoked(executor, HeldAttempt(RunId(run), epoch)) for run, epoch, executor in rows[1:]]

    async def claim(self, request: ClaimRequest, lease_until: datetime) -> Claimed | None:
        """Raises StaleStreamError when the log knows more of the run than the queue does."""
        epoch = FIRST_EPOCH
        while True:
            row = await self._claim(request, lease_until, epoch)
            if row is None:
                return None
            run, version, before, owner, graph, timeout_s, position = row
            if before + 1 == epoch:
                break
            epoch = before + 1
        if position is None:
            raise StaleStreamError
        return Claimed(
            run=RunId(run),
            version=version + 1,
            epoch=epoch,
            owner=AccountId(owner),
            backend=request.backend,
            graph=Digest(graph),
            timeout_s=timeout_s,
            position=Position(position),
        )

    async def _claim(
        self, request: ClaimRequest, lease_until: datetime, epoch: int
    ) -> tuple[UUID, int, int, UUID, str, int, int | None] | None:
        """The next run as it was, and where its claim stands in the log if it had the epoch before this one."""
        waiting = Run(status=Status.QUEUED, epoch=epoch - 1)
        (claimed,) = run_rules.claim(waiting, backend=request.backend, executor=request.executor)
        values = {
            "topic": topic(type(claimed)),
            "event": CATALOGUE.encode(claimed),
            "epoch": epoch,
            "backend": request.backend,
            "executor": request.executor,
            "lease_until": lease_until,
        }
        rows = await self._fetch(CLAIM, values)
        return rows[0] if rows else None

    async def renew(
        self, executor: str, attempts: Sequence[HeldAttempt], lease_until: datetime
    ) -> dict[HeldAttempt, Digest]:
        if not attempts:
            return {}
        values = (lease_until, [each.run for each in attempts], [each.epoch for each in attempts], executor)
        rows = await self._fetch(RENEW, values)
        return {HeldAttempt(RunId(run), epoch): Digest(graph) for run, epoch, graph in rows}

    async def held(self, executor: str) -> Sequence[Claimed]:
        return [
            Claimed(
                run=RunId(run),
                version=version,
                epoch=epoch,
                owner=AccountId(owner),
                backend=backend,
                graph=Digest(graph),
                timeout_s=timeout_s,
                position=Position(position),
            )
            for run, version, epoch, owner, backend, graph, timeout_s, position in await self._fetch(
                HELD, (executor,)
            )
        ]

    async def expired(self, now: datetime) -> Sequence[Expired]:
        rows = await self._fetch(EXPIRED, (now,))
        return [Expired(RunId(run), epoch, executor) for run, epoch, executor in rows]

    async def waiting(self) -> bool:
        ((waiting,),) = await self._fetch(WAITING, ())
        return bool(waiting)

    async def see_backend(self, name: str, executor: str, live: bool, until: datetime) -> None:
        await self._fetch(SEE, (name, executor, live, until))

    async def lapsed_backends(self, now: datetime) -> Sequence[str]:
        return [name for (name,) in await self._fetch(LAPSED, (now,))]

    async def backend_gone(self, name: str) -> None:
        await self._fetch(GONE, (name,))

    async def _fetch(self, query: str, values: Values) -> list[Any]:
        """The rows, if the query has any."""
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query.encode(), values, prepare=True)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise QueueUnavailableError("The queue cannot be reached at the moment.") from error


def _changes(events: Sequence[AnyRecorded]) -> dict[UUID, _Change]:
    """The net effect of consecutive events on each run."""
    changes: dict[UUID, _Change] = {}
    for recorded in events:
        change = changes.setdefault(recorded.stream, _Change(run=recorded.stream))
        change.version = recorded.version
        match recorded.event:
            case RunSubmitted() as submitted:
                change.owner, change.graph = submitted.owner, submitted.graph.digest
                change.rank = recorded.at.timestamp() - RANK_S * submitted.priority
                change.timeout_s = submitted.timeout_s
                change.state, change.not_before, change.position = "waiting", recorded.at, recorded.position
            case RunClaimed(epoch=epoch, backend=backend, executor=executor):
                change.state, change.epoch = "held", epoch
                change.backend, change.executor, change.position = backend, executor, recorded.position
            case RunRequeued(not_before=not_before):
                change.state, change.not_before = "waiting", not_before
                change.backend = change.executor = None
            case RunSucceeded() | RunFailed():
                change.over = True
            case RunCancelled():
                change.over = change.cancelled = True
            case _:
                pass
    return changes
