"""The queue on a real PostgreSQL, with people who submit and backends that claim: moved by hand, a step at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.log import PostgresLog
from adapters.postgres.queue import PostgresQueue
from adapters.postgres.tail import PostgresTail
from commands.ports import Entry, Write
from domain.event import Event
from domain.ids import AccountId, Actor, Digest, RunId, WorkflowId, limits_id, queue_id
from domain.limits import Allowance, LimitsSet
from domain.outcome import Failure, FailureKind
from domain.queue import PoolSet, PoolSettings, QueuePaused, QueueResumed
from domain.run import (
    SHARED,
    RunAttemptLost,
    RunCancelled,
    RunFailed,
    RunRequeued,
    RunRevived,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
)
from domain.source import PromptSource
from domain.workflow import Content, Requirements
from infra.wiring import new_id
from services.dispatch.folding import TOPICS
from services.ports.dispatching import Claimed, Kept
from services.ports.messages import ClaimRequest
from tests.servers import Database

ANN, BOB, CAT = (AccountId(UUID(int=number)) for number in (0xA11, 0xB0B, 0xCA7))
LEASE = timedelta(minutes=10)
GRAPH = Content(Digest("ab" * 32), 2)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LOST = Failure(FailureKind.LOST, "It fell silent.")
TABLES = {
    "queue": "run, version, owner, state, rank, not_before, graph, timeout_s, epoch, backend, executor, position, "
    "pool, warm, charged_us, weight, started_at, failed_at, failure",
    "shares": "pool, owner, waiting, served_us, clock_us, came",
    "pools": "name, class, paused, pause_reason, max_running, max_queued, succeeded, failed, cancelled",
    "limits": "owner, weight, running, queued, runs_per_day, run_s_per_day",
    "usage": "owner, day, runs, run_us",
}
"""What is folded, but for the means: those are sums of fractions, which are as good in any order, but not the same."""


class Floor:
    def __init__(self, log: PostgresLog, tail: PostgresTail, pool: AsyncConnectionPool[Any]) -> None:
        self.log, self.tail, self.pool = log, tail, pool
        self.queue = PostgresQueue(pool)
        self.owners: dict[UUID, AccountId] = {}
        self._versions: dict[UUID, int] = {}

    async def write(self, stream: UUID, *events: Event, owner: AccountId | None = None) -> None:
        version = self._versions.get(stream, 0)
        entry = Entry(
            writes=(Write(stream, version, events, owner),), actor=Actor("test"), correlation=stream
        )
        await self.log.append(entry)
        self._versions[stream] = version + len(events)

    async def submit(
        self,
        owner: AccountId,
        runs: int = 1,
        *,
        priority: int = 5,
        model: str = "",
        pool: str = SHARED,
        prompted: bool = False,
        fold: bool = True,
        ids: list[RunId] | None = None,
    ) -> list[RunId]:
        ids = ids or [RunId(new_id()) for _ in range(runs)]
        needed = Requirements(models=(f"checkpoints/{model}",) if model else ())
        submitted = RunSubmitted(
            owner=owner,
            workflow=WorkflowId(UUID(int=1)),
            workflow_version=1,
            graph=GRAPH,
            requirements=needed,
            priority=priority,
            pool=pool,
            source=PromptSource(id="mine", client="window", sent=GRAPH) if prompted else None,
        )
        writes = tuple(Write(run, 0, (submitted,), owner) for run in ids)
        await self.log.append(Entry(writes=writes, actor=Actor("test"), correlation=ids[0]))
        self.owners |= dict.fromkeys(ids, owner)
        self._versions |= dict.fromkeys(ids, 1)
        if fold:
            await self.fold()
        return ids

    async def fold(self, *, age: timedelta = timedelta(0), page: int = 500) -> None:
        """Take in what is new, as if it had happened so long ago."""
        while (found := await self.tail.after(await self.queue.position(), page, TOPICS)).events:
            events = [replace(each, at=each.at - age) for each in found.events]
            assert await self.queue.apply(events, found.upto) is not None

    async def ask(
        self, backend: str = "gpu-1", *pools: str, queue: PostgresQueue | None = None
    ) -> Claimed | Kept | None:
        request = ClaimRequest(executor=f"of-{backend}", backend=backend, pools=pools or (SHARED,))
        found = await (queue or self.queue).claim(request, datetime.now(UTC) + LEASE)
        if isinstance(found, Claimed):
            self._versions[found.run] = found.version
        return found

    async def claim(
        self, backend: str = "gpu-1", *pools: str, queue: PostgresQueue | None = None
    ) -> Claimed | None:
        found = await self.ask(backend, *pools, queue=queue)
        assert not isinstance(found, Kept)
        return found

    async def claimed(self, backend: str = "gpu-1", *pools: str) -> Claimed:
        claimed = await self.claim(backend, *pools)
        assert claimed is not None
        return claimed

    async def start(self, claimed: Claimed) -> None:
        await self._tell(claimed, RunStarted(epoch=claimed.epoch, backend=claimed.backend))

    async def finish(self, claimed: Claimed, seconds: float = 10) -> None:
        await self._tell(claimed, RunSucceeded(epoch=claimed.epoch, execution_s=seconds, outputs=0))

    async def lose(self, claimed: Claimed, not_before: datetime = LONG_AGO) -> None:
        lost = RunAttemptLost(epoch=claimed.epoch, failure=LOST)
        await self._tell(claimed, lost, RunRequeued(not_before=not_before))

    async def hand_back(self, claimed: Claimed) -> None:
        await self._tell(claimed, RunRequeued(not_before=LONG_AGO, reason="It is told to stop."))

    async def fail(self, claimed: Claimed, kind: FailureKind = FailureKind.LOST) -> None:
        failure = replace(LOST, kind=kind)
        lost = RunAttemptLost(epoch=claimed.epoch, failure=failure)
        await self._tell(claimed, lost, RunFailed(failure=failure))

    async def cancel(self, run: RunId) -> None:
        await self.write(run, RunCancelled(by=self.owners[run]), owner=self.owners[run])
        await self.fold()

    async def revive(self, run: RunId) -> None:
        await self.write(run, RunRevived(not_before=LONG_AGO, reason="Mended."), owner=self.owners[run])
        await self.fold()

    async def pause(self, pool: str = "") -> None:
        await self.write(queue_id(), QueuePaused(pool=pool, reason="Cards are changed."))
        await self.fold()

    async def resume(self, pool: str = "") -> None:
        await self.write(queue_id(), QueueResumed(pool=pool, reason="They are in."))
        await self.fold()

    async def set_pool(self, pool: str, **settings: Any) -> None:
        await self.write(queue_id(), PoolSet(pool=pool, settings=PoolSettings(**settings), reason="Agreed."))
        await self.fold()

    async def give(self, owner: AccountId, *, weight: float = 1.0, **limits: int) -> None:
        given = LimitsSet(account=owner, limits=Allowance(**limits), weight=weight, reason="Agreed.")
        await self.write(limits_id(owner), given, owner=owner)
        await self.fold()

    async def see(self, *backends: str) -> None:
        for backend in backends:
            await self.queue.see_backend(backend, f"of-{backend}", True, datetime.now(UTC) + LEASE)

    async def serve(self, claims: int, backend: str = "gpu-1", seconds: float = 10) -> list[AccountId]:
        """So many runs, one after the other: whose they were."""
        owners = []
        for _ in range(claims):
            claimed = await self.claimed(backend)
            owners.append(claimed.owner)
            await self.finish(claimed, seconds)
        return owners

    async def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is folded from the log."""
        async with self.pool.connection() as connection:
            return {
                name: await (
                    await connection.execute(f"SELECT {columns} FROM work.{name} ORDER BY 1, 2".encode())
                ).fetchall()
                for name, columns in TABLES.items()
            }

    async def rebuild(self, page: int = 500) -> None:
        """Everything anew from the log, in pages of another size than before."""
        async with self.pool.connection() as connection:
            for name in TABLES:
                await connection.execute(f"DELETE FROM work.{name}".encode())
            await connection.execute("UPDATE work.checkpoints SET position = 0 WHERE name = 'dispatch'")
        self.queue = PostgresQueue(self.pool)
        await self.fold(page=page)

    async def _tell(self, claimed: Claimed, *events: Event) -> None:
        await self.write(claimed.run, *events, owner=claimed.owner)
        await self.fold()


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Floor]:
    url = database.url_of("comfyplus_dispatch")
    async with (
        AsyncConnectionPool(url, min_size=1, max_size=12, open=False, kwargs={"autocommit": True}) as pool,
        PostgresLog(url, pool) as log,
        PostgresTail(url) as tail,
    ):
        yield Floor(log, tail, pool)
