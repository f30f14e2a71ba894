"""The run queue: working state folded from the log, with leases that the log does not know of.

A claim writes the queue and the log in one transaction. Everything else the queue learns from the log.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import psycopg
from msgspec import Struct
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import arrays
from adapters.postgres.append import CALL, encode, parameters
from commands.ports import Entry, StaleStreamError, Write
from domain import run as run_rules
from domain.catalogue import CATALOGUE
from domain.event import AnyRecorded
from domain.ids import AccountId, Actor, Digest, Position, RunId
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
from services.ports.dispatching import Claimed, Expired, Revoked
from services.ports.messages import ClaimRequest, HeldAttempt

RANK_S = 600  # seconds of waiting that weigh as much as one step of priority

CHECKPOINT = "SELECT position FROM work.checkpoints WHERE name = 'dispatch'"
MOVE_CHECKPOINT = "UPDATE work.checkpoints SET position = %s WHERE name = 'dispatch'"
INSERT = """
INSERT INTO work.queue (
    run, version, owner, state, rank, not_before, graph, timeout_s, epoch, backend, executor, lease_until, position
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, CASE WHEN %s = 'held' THEN now() + interval '1 minute' END, %s)
ON CONFLICT (run) DO NOTHING
"""
UPDATE = """
UPDATE work.queue SET
    version = %(version)s,
    state = coalesce(%(state)s, state),
    not_before = coalesce(%(not_before)s, not_before),
    epoch = coalesce(%(epoch)s, epoch),
    backend = CASE WHEN %(state)s IS NULL THEN backend ELSE %(backend)s END,
    executor = CASE WHEN %(state)s IS NULL THEN executor ELSE %(executor)s END,
    lease_until = CASE coalesce(%(state)s, state)
        WHEN 'held' THEN coalesce(lease_until, now() + interval '1 minute') END,
    position = coalesce(%(position)s, position)
WHERE run = %(run)s AND version < %(version)s
"""
DELETE = "DELETE FROM work.queue WHERE run = ANY(%s) RETURNING run, epoch, executor"
# The one place where it is decided which run is next.
PICK = """
SELECT run, version, owner, epoch, graph, timeout_s FROM work.queue
WHERE state = 'waiting' AND not_before <= now()
ORDER BY rank, run LIMIT 1
FOR UPDATE SKIP LOCKED
"""
CLAIM = f"""
WITH appended AS MATERIALIZED (
    SELECT base, stale FROM {CALL}
)
UPDATE work.queue AS q
SET state = 'held', version = q.version + 1, epoch = %s, backend = %s, executor = %s, lease_until = %s,
    position = appended.base + 1
FROM appended WHERE q.run = %s AND appended.stale IS NULL
RETURNING q.position
"""
RENEW = """
UPDATE work.queue AS q SET lease_until = %s
FROM unnest(%s::uuid[], %s::int[]) AS held (run, epoch)
WHERE q.run = held.run AND q.epoch = held.epoch AND q.executor = %s AND q.state = 'held'
RETURNING q.run, q.epoch, q.graph
"""
HELD = """
SELECT run, epoch, owner, backend, graph, timeout_s, position FROM work.queue
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


class _Change(Struct):
    """What a batch of events does to one run's row; None = as it was."""

    version: int
    submitted: RunSubmitted | None = None
    submitted_at: datetime | None = None
    state: str | None = None
    not_before: datetime | None = None
    epoch: int | None = None
    backend: str | None = None
    executor: str | None = None
    position: Position | None = None
    over: bool = False
    cancelled: bool = False


class PostgresQueue:
    """The RunQueue port. Raises psycopg.OperationalError while Postgres is away."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def position(self) -> Position:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(CHECKPOINT)
            row = await cursor.fetchone()
        assert row is not None
        return Position(row[0])

    async def apply(self, events: Sequence[AnyRecorded], upto: Position) -> Sequence[Revoked]:
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(CHECKPOINT + " FOR UPDATE")
            row = await cursor.fetchone()
            assert row is not None
            if upto <= row[0]:
                return ()
            changes = _changes([event for event in events if event.position > row[0]])
            async with connection.pipeline():
                for run, change in changes.items():
                    if not change.over:
                        await _write(connection, run, change)
                await connection.execute(MOVE_CHECKPOINT, (upto,))
            return await _delete(connection, changes)

    async def claim(self, request: ClaimRequest, lease_until: datetime) -> Claimed | None:
        """Raises StaleStreamError when the log knows more of the run than the queue does."""
        async with self._pool.connection() as connection, connection.transaction():
            arrays.register(connection)
            cursor = connection.cursor(row_factory=tuple_row)
            await cursor.execute(PICK, prepare=True)
            row = await cursor.fetchone()
            if row is None:
                return None
            run, version, owner, epoch, graph, timeout_s = row
            waiting = Run(owner=owner, status=Status.QUEUED, epoch=epoch)
            claimed = run_rules.claim(waiting, backend=request.backend, executor=request.executor)
            entry = Entry(
                writes=(Write(run, version, tuple(claimed), owner),),
                actor=Actor("dispatch"),
                correlation=run,
            )
            appending = parameters([encode(entry, CATALOGUE)])
            # the last statement: nobody else can append until this commits
            await cursor.execute(
                CLAIM,
                (*appending, epoch + 1, request.backend, request.executor, lease_until, run),
                prepare=True,
            )
            position = await cursor.fetchone()
            if position is None:
                raise StaleStreamError
        return Claimed(
            run=RunId(run),
            epoch=epoch + 1,
            owner=AccountId(owner),
            backend=request.backend,
            graph=Digest(graph),
            timeout_s=timeout_s,
            position=Position(position[0]),
        )

    async def renew(
        self, executor: str, attempts: Sequence[HeldAttempt], lease_until: datetime
    ) -> dict[HeldAttempt, Digest]:
        if not attempts:
            return {}
        values = (lease_until, [each.run for each in attempts], [each.epoch for each in attempts], executor)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(RENEW, values)
            rows = await cursor.fetchall()
        return {HeldAttempt(RunId(run), epoch): Digest(graph) for run, epoch, graph in rows}

    async def held(self, executor: str) -> Sequence[Claimed]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(HELD, (executor,))
            rows = await cursor.fetchall()
        return [
            Claimed(
                run=RunId(run),
                epoch=epoch,
                owner=AccountId(owner),
                backend=backend,
                graph=Digest(graph),
                timeout_s=timeout_s,
                position=Position(position),
            )
            for run, epoch, owner, backend, graph, timeout_s, position in rows
        ]

    async def expired(self, now: datetime) -> Sequence[Expired]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(EXPIRED, (now,))
            return [Expired(RunId(run), epoch, executor) for run, epoch, executor in await cursor.fetchall()]

    async def waiting(self) -> bool:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(WAITING)
            row = await cursor.fetchone()
        return bool(row and row[0])

    async def see_backend(self, name: str, executor: str, live: bool, until: datetime) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(SEE, (name, executor, live, until))

    async def lapsed_backends(self, now: datetime) -> Sequence[str]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(LAPSED, (now,))
            return [name for (name,) in await cursor.fetchall()]

    async def backend_gone(self, name: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(GONE, (name,))


def _changes(events: Sequence[AnyRecorded]) -> dict[UUID, _Change]:
    """The net effect of consecutive events on each run."""
    changes: dict[UUID, _Change] = {}
    for recorded in events:
        change = changes.setdefault(recorded.stream, _Change(recorded.version))
        change.version = recorded.version
        match recorded.event:
            case RunSubmitted() as submitted:
                change.submitted, change.submitted_at = submitted, recorded.at
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


async def _write(connection: psycopg.AsyncConnection, run: UUID, change: _Change) -> None:
    submitted = change.submitted
    if submitted is None or change.submitted_at is None:
        values = {
            "run": run,
            "version": change.version,
            "state": change.state,
            "not_before": change.not_before,
            "epoch": change.epoch,
            "backend": change.backend,
            "executor": change.executor,
            "position": change.position,
        }
        await connection.execute(UPDATE, values)
        return
    rank = change.submitted_at.timestamp() - RANK_S * submitted.priority
    await connection.execute(
        INSERT,
        (
            run,
            change.version,
            submitted.owner,
            change.state,
            rank,
            change.not_before,
            submitted.graph.digest,
            submitted.timeout_s,
            change.epoch or 0,
            change.backend,
            change.executor,
            change.state,
            change.position,
        ),
    )


async def _delete(connection: psycopg.AsyncConnection, changes: dict[UUID, _Change]) -> Sequence[Revoked]:
    """Remove what is over; returns the attempts of cancelled runs that an executor still works on."""
    over = [run for run, change in changes.items() if change.over]
    if not over:
        return ()
    cursor = await connection.execute(DELETE, (over,))
    return [
        Revoked(executor, HeldAttempt(RunId(run), epoch))
        for run, epoch, executor in await cursor.fetchall()
        if executor is not None and changes[run].cancelled
    ]
