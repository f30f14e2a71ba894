"""The run queue: working state folded from the log, with leases that the log does not know of.

A claim writes the queue and the log in one transaction. Everything else the queue learns from the log.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncRawCursor
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.plans import Numbered, numbered
from adapters.postgres.queue_applying import APPLY
from adapters.postgres.queue_claiming import AHEAD, CLAIM, LEAST_US, NEAR, PATIENCE, RUN_S, WAIT, event
from adapters.postgres.queue_folding import Batch
from commands.ports import StaleStreamError
from domain.event import AnyRecorded
from domain.ids import AccountId, Digest, Position, RunId
from services.ports.dispatching import Claimed, Expired, Kept, QueueUnavailableError, Revoked
from services.ports.messages import ClaimRequest, HeldAttempt
from workflows.inventory import TAKES_LORAS

MAX_KNOWN = 100_000  # needs that are known to be stored; asking again does no harm
FIRST_EPOCH = 1  # of most claims: few runs are claimed again
LEASE_S = 60.0
REMEMBERED_S = 1.0  # then the position is read again: a database that was killed may have forgotten it

_APPLY, _CLAIM = numbered(APPLY), numbered(CLAIM)

CHECKPOINT = "SELECT position FROM work.checkpoints WHERE name = 'dispatch'"
KNOW_NEEDS = "SELECT work.know_needs(%s, %s)"
RENEW = """
UPDATE work.queue AS q SET lease_until = %s
FROM unnest(%s::uuid[], %s::int[]) AS held (run, epoch)
WHERE q.run = held.run AND q.epoch = held.epoch AND q.executor = %s AND q.state = 'held'
RETURNING q.run, q.epoch, q.graph
"""
HELD = """
SELECT run, version, epoch, owner, backend, graph, timeout_s, prompted, extra, position FROM work.queue
WHERE executor = %s AND state = 'held' ORDER BY position
"""
EXPIRED = """
SELECT run, epoch, executor FROM work.queue WHERE state = 'held' AND lease_until < %s ORDER BY lease_until LIMIT 500
"""
WAITING = """
SELECT EXISTS (SELECT FROM work.queue WHERE state = 'waiting' AND not_before <= now())
    AND NOT EXISTS (SELECT FROM work.pools WHERE name = '' AND paused)
"""
SEE = """
INSERT INTO work.backends (name, executor, live, seen_until) VALUES (%s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE
SET executor = EXCLUDED.executor, live = EXCLUDED.live, seen_until = EXCLUDED.seen_until
"""
LAPSED = "SELECT name FROM work.backends WHERE live AND seen_until < %s"
GONE = "UPDATE work.backends SET live = false WHERE name = %s"


class PostgresQueue:
    """The RunQueue port. Remembers the checkpoint: one that another process has moved refuses what rests on it."""

    def __init__(
        self, pool: AsyncConnectionPool, *, running: int | None = None, lease_s: float = LEASE_S
    ) -> None:
        """`running`: how many runs of an account may be under way, where it was not given another number.
        `lease_s`: how long a run is held that the log says was claimed; how long it was to be is not in there.
        """
        self._pool = pool
        self._running = running
        self._lease_s = lease_s
        self._position: Position | None = None
        self._confirmed = 0.0
        self._known_needs: set[UUID] = set()
        self._applying = asyncio.Lock()

    async def position(self) -> Position:
        """It may be less than before: what was folded last is not yet on the disk when it is answered."""
        if self._position is None or time.monotonic() - self._confirmed > REMEMBERED_S:
            ((position,),) = await self._fetch(CHECKPOINT, ())
            self._remember(Position(position))
            return Position(position)
        return self._position

    def _remember(self, position: Position) -> None:
        self._position, self._confirmed = position, time.monotonic()

    async def apply(self, events: Sequence[AnyRecorded], upto: Position) -> Sequence[Revoked] | None:
        position = self._position if self._position is not None else await self.position()
        self._position = None  # until the outcome is known
        batch = Batch(events)
        for name, wants in batch.needs.items():
            if name not in self._known_needs:
                await self._fetch(KNOW_NEEDS, (name, wants))
                if len(self._known_needs) >= MAX_KNOWN:
                    self._known_needs.clear()
                self._known_needs.add(name)
        values = {"position": position, "upto": upto, "lease_s": self._lease_s, **batch.values()}
        async with self._applying:
            rows = await self._carry_out(_APPLY, values)
        if not rows:
            return None
        self._remember(upto)
        return [Revoked(executor, HeldAttempt(RunId(run), epoch)) for run, epoch, executor in rows[1:]]

    async def claim(self, request: ClaimRequest, lease_until: datetime) -> Claimed | Kept | None:
        """Raises StaleStreamError when the log knows more of the run than the queue does."""
        epoch = FIRST_EPOCH
        async with self._applying:
            pass  # it holds the rows of those that have just been served: to look at them now would be in vain
        while rows := await self._carry_out(_CLAIM, self._claim(request, lease_until, epoch)):
            (
                (
                    pool,
                    first,
                    run,
                    version,
                    before,
                    owner,
                    graph,
                    timeout_s,
                    prompted,
                    extra,
                    position,
                    kept_s,
                ),
            ) = rows
            if first is None:
                return Kept(kept_s)
            if run is None:
                await self._fetch(WAIT, (pool, first))
            elif before + 1 != epoch:
                epoch = before + 1
            elif position is None:
                raise StaleStreamError
            else:
                return Claimed(
                    run=RunId(run),
                    version=version + 1,
                    epoch=epoch,
                    owner=AccountId(owner),
                    backend=request.backend,
                    graph=Digest(graph),
                    timeout_s=timeout_s,
                    position=Position(position),
                    prompted=prompted,
                    extra=extra,
                )
        return None

    def _claim(self, request: ClaimRequest, lease_until: datetime, epoch: int) -> dict[str, Any]:
        """The parameters of CLAIM."""
        return event(epoch, request.backend, request.executor) | {
            "epoch": epoch,
            "backend": request.backend,
            "executor": request.executor,
            "pools": list(dict.fromkeys(request.pools)),
            "only": request.only,
            "lease_until": lease_until,
            "running": self._running,
            "must_tell": [TAKES_LORAS],
            "ahead": AHEAD,
            "near": NEAR,
            "run_s": RUN_S,
            "least_us": LEAST_US,
            "patience": PATIENCE,
        }

    async def renew(
        self, executor: str, attempts: Sequence[HeldAttempt], lease_until: datetime
    ) -> dict[HeldAttempt, Digest]:
        if not attempts:
            return {}
        values = (lease_until, [each.run for each in attempts], [each.epoch for each in attempts], executor)
        rows = await self._fetch(RENEW, values)
        return {HeldAttempt(RunId(run), epoch): Digest(graph) for run, epoch, graph in rows}

    async def held(self, executor: str) -> Sequence[Claimed]:
        rows = await self._fetch(HELD, (executor,))
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
                prompted=prompted,
                extra=extra,
            )
            for run, version, epoch, owner, backend, graph, timeout_s, prompted, extra, position in rows
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

    async def _fetch(self, query: str, values: Sequence[Any]) -> list[Any]:
        """The rows, if the query has any."""
        with _reached():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query.encode(), values, prepare=True)
                return await cursor.fetchall() if cursor.description else []

    async def _carry_out(self, statement: Numbered, values: Mapping[str, Any]) -> list[Any]:
        with _reached():
            async with self._pool.connection() as connection:
                cursor = AsyncRawCursor(connection)
                await cursor.execute(statement.text, statement.values(values), prepare=True)
                return await cursor.fetchall()


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise QueueUnavailableError("The queue cannot be reached at the moment.") from error
