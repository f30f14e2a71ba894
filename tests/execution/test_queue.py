"""The queue on a real PostgreSQL, as one and as two dispatch processes use it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from msgspec import Struct
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.log import PostgresLog
from adapters.postgres.queue import PostgresQueue
from adapters.postgres.tail import PostgresTail
from commands.ports import Entry, StaleStreamError, Write
from domain.ids import AccountId, Actor, Digest, Position, RunId, WorkflowId
from domain.outcome import Failure, FailureKind
from domain.run import RunAttemptLost, RunCancelled, RunClaimed, RunEvent, RunRequeued, RunSubmitted
from domain.workflow import Content
from services.dispatch.folding import TOPICS
from services.ports.dispatching import Claimed, Kept, Revoked
from services.ports.messages import ClaimRequest, HeldAttempt
from tests.servers import Database, owned

ANN = AccountId(uuid4())
REQUEST = ClaimRequest(executor="gpu-1", backend="big")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FAILURE = Failure(FailureKind.LOST, "It fell silent.")


def submitted(priority: int = 5) -> RunSubmitted:
    graph = Content(digest=Digest("ab" * 32), size_bytes=2)
    return RunSubmitted(
        owner=ANN, workflow=WorkflowId(uuid4()), workflow_version=1, graph=graph, priority=priority
    )


class Ground(Struct, frozen=True):
    log: PostgresLog
    tail: PostgresTail
    pool: AsyncConnectionPool

    async def write(self, run: RunId, version: int, *events: RunEvent) -> None:
        entry = Entry(writes=(Write(run, version, events, ANN),), actor=Actor("test"), correlation=run)
        await self.log.append(entry)

    async def fold(self, queue: PostgresQueue) -> list[Revoked] | None:
        page = await self.tail.after(await queue.position(), 500, TOPICS)
        revoked = await queue.apply(page.events, page.upto)
        return None if revoked is None else list(revoked)

    async def claim(self, queue: PostgresQueue) -> Claimed | None:
        claimed = await queue.claim(REQUEST, datetime.now(UTC) + timedelta(minutes=1))
        assert not isinstance(claimed, Kept)
        return claimed


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Ground]:
    url = database.url_of("comfyplus_dispatch")
    async with (
        AsyncConnectionPool(url, min_size=1, open=False, kwargs={"autocommit": True}) as pool,
        PostgresLog(url, pool) as log,
        PostgresTail(url) as tail,
    ):
        yield Ground(log, tail, pool)


@pytest.fixture
async def ground(database: Database) -> AsyncIterator[Ground]:
    async with opened(database) as made:
        yield made


@pytest.fixture
def queue(ground: Ground) -> PostgresQueue:
    return PostgresQueue(ground.pool)


async def test_the_most_urgent_is_claimed_first_and_each_once(ground: Ground, queue: PostgresQueue) -> None:
    usual, urgent = RunId(uuid4()), RunId(uuid4())
    await ground.write(usual, 0, submitted())
    await ground.write(urgent, 0, submitted(priority=10))
    await ground.fold(queue)

    claimed = [await ground.claim(queue) for _ in range(3)]

    assert [each and (each.run, each.epoch, each.owner) for each in claimed] == [
        (urgent, 1, ANN),
        (usual, 1, ANN),
        None,
    ]
    assert [each.run for each in await queue.held("gpu-1")] == [urgent, usual]
    assert await ground.fold(queue) == []  # what a claim wrote is folded already
    assert len(await queue.held("gpu-1")) == 2


async def test_a_run_that_waits_again_is_claimed_with_the_next_epoch(
    ground: Ground, queue: PostgresQueue
) -> None:
    run = RunId(uuid4())
    await ground.write(run, 0, submitted())
    await ground.fold(queue)
    await ground.claim(queue)
    await ground.write(run, 2, RunAttemptLost(epoch=1, failure=FAILURE), RunRequeued(not_before=LONG_AGO))
    await ground.fold(queue)

    claimed = await ground.claim(queue)

    assert claimed is not None
    assert (claimed.run, claimed.epoch) == (run, 2)
    assert await queue.renew("gpu-1", [HeldAttempt(run, 1)], datetime.now(UTC)) == {}


async def test_a_run_whose_story_went_on_is_not_claimed(ground: Ground, queue: PostgresQueue) -> None:
    run = RunId(uuid4())
    await ground.write(run, 0, submitted())
    await ground.fold(queue)
    await ground.write(run, 1, RunCancelled(by=ANN))

    with pytest.raises(StaleStreamError):
        await ground.claim(queue)

    await ground.fold(queue)
    assert await ground.claim(queue) is None


async def test_a_cancelled_attempt_is_revoked(ground: Ground, queue: PostgresQueue) -> None:
    run = RunId(uuid4())
    await ground.write(run, 0, submitted())
    await ground.fold(queue)
    await ground.claim(queue)
    await ground.write(run, 2, RunCancelled(by=ANN))

    assert await ground.fold(queue) == [Revoked("gpu-1", HeldAttempt(run, 1))]
    assert await queue.held("gpu-1") == []


async def test_two_that_fold_the_same_events_do_it_once(ground: Ground, queue: PostgresQueue) -> None:
    other = PostgresQueue(ground.pool)
    await ground.fold(queue)
    await ground.fold(other)
    run = RunId(uuid4())
    await ground.write(run, 0, submitted())
    await ground.fold(queue)
    await ground.claim(queue)
    await ground.write(run, 2, RunCancelled(by=ANN))
    await ground.fold(queue)

    assert await ground.fold(other) is None  # it would have queued the run again
    assert await ground.claim(other) is None
    assert await other.position() == await queue.position()
    assert await ground.fold(other) == []


async def test_a_queue_that_was_closed_goes_on_where_it_was(ground: Ground, queue: PostgresQueue) -> None:
    await ground.write(RunId(uuid4()), 0, submitted())
    await ground.fold(queue)

    assert await PostgresQueue(ground.pool).position() == await queue.position() > Position(0)


async def test_a_claim_that_only_the_log_knows_of_lasts_as_long_as_others(ground: Ground) -> None:
    """After a restore: the leases of before are gone, and an executor may be silent for a whole one."""
    await ground.write(RunId(uuid4()), 0, submitted(), RunClaimed(backend="big", executor="gpu-1", epoch=1))
    queue, now = PostgresQueue(ground.pool, lease_s=600), datetime.now(UTC)
    await ground.fold(queue)

    assert await queue.expired(now + timedelta(seconds=590)) == []
    assert len(await queue.expired(now + timedelta(seconds=610))) == 1


async def test_what_a_killed_database_has_forgotten_is_noticed(
    ground: Ground, queue: PostgresQueue, database: Database
) -> None:
    """Though nothing else happens: folding is answered before it is on the disk."""
    await ground.write(RunId(uuid4()), 0, submitted())
    await ground.fold(queue)
    owned(database.url).execute("DELETE FROM work.queue")
    owned(database.url).execute("UPDATE work.checkpoints SET position = 0 WHERE name = 'dispatch'")

    async with asyncio.timeout(10):
        while await queue.position() != 0:
            await asyncio.sleep(0.01)
    await ground.fold(queue)
    assert await ground.claim(queue) is not None
