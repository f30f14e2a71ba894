"""kill -9 of who follows the log and of who rebuilds, at random moments: every read model is right to the row."""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import psycopg
import pytest

from projections import jobs
from projections.jobs import Job, JobState, Kind, OpenJobError
from projections.rebuild import rebuild
from tests.projections.builder import work
from tests.projections.ground import ALL, PROJECTIONS, Books, at_position, connecting, eventually, stored
from tests.projections.stories import ANN, BOB, everything, run, workflow
from tests.projections.test_jobs import builds, connected
from tests.servers import Database, owned
from tests.terminal import ALREADY_LOADED

ROUNDS = 5
SOAK_ROUNDS = int(os.environ.get("COMFYPLUS_SOAK_ROUNDS", "50"))
SEED = int(os.environ.get("COMFYPLUS_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
FILL = """
INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id, recorded_at, owner, actor,
    correlation)
SELECT id, 1, 'workflow.created.v1', convert_to(json_build_object('topic', 'workflow.created.v1', 'owner', %(owner)s,
    'name', 'w' || n)::text, 'UTF8'), n, now(), %(owner)s, 'tests', id
FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, %(count)s) AS n) AS made
"""
BEFORE = 6_000  # events: enough that a rebuild takes a while, in bulk and then in batches


class Process:
    """One of ours, started again each time it was killed."""

    def __init__(self, what: str, database: Database, bulk_rows: int) -> None:
        self._given = (what, database.url_of("comfyplus_project"), bulk_rows)
        self._process: BaseProcess | None = None

    def start(self) -> None:
        here, there = ALREADY_LOADED.Pipe()
        self._process = ALREADY_LOADED.Process(target=work, args=(*self._given, there))
        self._process.start()
        there.close()
        here.recv()
        here.close()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None


@contextmanager
def processes(database: Database, bulk_rows: int = 4_000) -> Iterator[dict[str, Process]]:
    found = {what: Process(what, database, bulk_rows) for what in ("follow", "rebuild")}
    for each in found.values():
        each.start()
    try:
        yield found
    finally:
        for each in found.values():
            each.kill()


def filled(books: Books) -> None:
    """A log that is not told event by event."""
    with psycopg.connect(books.database.url) as owner:
        owner.execute(FILL, {"owner": ANN, "count": BEFORE})
    books.events.extend([None] * BEFORE)  # type: ignore[list-item]  # only their number counts


async def ask(database: Database, chance: random.Random) -> None:
    kind = chance.choice((Kind.REBUILD, Kind.REBUILD, Kind.ROLLBACK))
    async with connected(database) as connection:
        try:
            await jobs.ask(connection, chance.choice(list(PROJECTIONS)), kind, "tests")
        except OpenJobError:
            return  # still being done, after so many deaths


async def all_over(database: Database) -> list[Job]:
    async with connected(database) as connection:

        async def over() -> bool:
            return not await jobs.open_jobs(connection)

        await eventually(over, 90)
        return await jobs.recent(connection, 1_000)


def unfinished(database: Database, name: str = "%") -> list[tuple[str, int, int]]:
    """Name, generation and position of the builds that are not done."""
    return (
        owned(database.url)
        .execute(
            "SELECT name, generation, position FROM work.projections WHERE state = 'building' AND name LIKE %s",
            (name,),
        )
        .fetchall()
    )


@pytest.mark.timeout(90 + 15 * SOAK_ROUNDS)
@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(SOAK_ROUNDS, marks=pytest.mark.soak)])
async def test_killed_at_random_moments_every_read_model_is_right(
    database: Database, books: Books, rounds: int
) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    filled(books)
    died_building = 0
    with processes(database) as running:
        for projection in ALL:
            await at_position(database, projection.name, BEFORE)
        for _ in range(rounds):
            for _ in range(chance.randint(1, 3)):
                await ask(database, chance)
            books.add(*everything() if chance.random() < 0.2 else [*run(ANN), *run(BOB)])
            await asyncio.sleep(chance.uniform(0, 0.7))
            for what in chance.choice((("rebuild",), ("rebuild",), ("follow",), ("rebuild", "follow"))):
                running[what].kill()
                died_building += bool(unfinished(database))
                books.add(*workflow(BOB, "meanwhile"))
                running[what].start()
        ended = await all_over(database)
        for projection in ALL:
            await at_position(database, projection.name, len(books.events))
    print(f"{len(ended)} jobs, {died_building} deaths amid a build")
    for job in ended:
        fine = job.state == JobState.DONE or (job.kind == Kind.ROLLBACK and "is kept" in (job.fault or ""))
        assert fine, job
    for projection in ALL:
        assert {state for _, state in builds(database, projection.name)} <= {"live", "retired"}
        followed = stored(database, projection)
        await rebuild(projection, connecting(database))
        assert stored(database, projection) == followed, projection.name


@pytest.mark.parametrize("bulk_rows", [1, 1_000_000])
async def test_a_rebuild_killed_over_and_over_comes_to_its_end(
    database: Database, books: Books, bulk_rows: int
) -> None:
    """In batches it goes on from its checkpoint; in bulk it begins anew, and leaves nothing half-built behind."""
    filled(books)
    shelf = PROJECTIONS["workflow_shelf"]
    await rebuild(shelf, connecting(database))
    before, deaths = stored(database, shelf), 0
    seen: list[list[tuple[str, int, int]]] = []
    with processes(database, bulk_rows) as running:
        async with connected(database) as connection:
            job = await jobs.ask(connection, "workflow_shelf", Kind.REBUILD, "tests")
            while deaths < 4:
                deadline = time.monotonic() + 30
                while not (found := unfinished(database, "workflow_shelf")) or (seen and found == seen[-1]):
                    assert time.monotonic() < deadline
                    if not await jobs.open_jobs(connection):
                        break
                    await asyncio.sleep(0.001)
                if not found:
                    break  # it was faster than we are
                running["rebuild"].kill()
                seen.append(unfinished(database, "workflow_shelf"))
                deaths += 1
                running["rebuild"].start()
        (ended,) = await all_over(database)
    assert ended.id == job.id
    assert ended.state == "done"
    assert deaths
    assert stored(database, shelf) == before
    assert {state for _, state in builds(database, "workflow_shelf")} == {"live", "retired"}
    positions = [position for found in seen for _, _, position in found]
    if bulk_rows == 1:
        assert positions == sorted(positions)
    else:
        assert set(positions) <= {0, BEFORE}
