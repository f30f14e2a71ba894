"""Does what was asked for, one read model after the other, and takes up what another process has left behind."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection, InterfaceError, OperationalError

from projections import generations, jobs
from projections.jobs import WISHES, Job, JobState, Kind
from projections.overtaking import Progress, SwapFailedError, Told
from projections.pages import Connect
from projections.projection import Projection
from projections.rebuild import GRACE_S, BusyError, Rebuilt, build, holding
from projections.rollback import NotKeptError, roll_back
from projections.writer import PoisonError

logger = logging.getLogger(__name__)

POLL_S = 2.0  # a wake-up may be lost
PAUSE_S = 1.0  # before Postgres is tried again
NOTE_S = 0.25  # how often progress is written down, and looked whether to go on


class CancelledByWishError(Exception):
    """Somebody does not want it any more."""


class Rebuilding:
    """Runs until it is cancelled; what it was doing then is gone on with by whoever comes next."""

    def __init__(
        self, models: Mapping[str, Projection], connect: Connect, *, grace_s: float = GRACE_S
    ) -> None:
        self._models = models
        self._connect = connect
        self._grace_s = grace_s

    async def run(self) -> None:
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {WISHES}".encode())
                    while True:
                        await self._work(connection)
                        async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                            pass
            except (OperationalError, InterfaceError) as error:
                logger.warning("rebuilds wait for postgres", extra={"reason": str(error)})
            except Exception:  # the outermost loop: a fault of ours must not end it
                logger.exception("rebuilds stopped; trying again")
            await asyncio.sleep(PAUSE_S)

    async def _work(self, connection: AsyncConnection[Any]) -> None:
        for job in await jobs.open_jobs(connection):
            projection = self._models.get(job.name)
            if projection is None:
                continue  # of another program
            try:
                async with holding(job.name, self._connect) as held:
                    still = await jobs.job(held, job.id)
                    if still is not None and still.state in (JobState.ASKED, JobState.RUNNING):
                        await perform(still, projection, held, self._connect, grace_s=self._grace_s)
            except BusyError:
                continue  # somebody works on it
            except (PoisonError, SwapFailedError, NotKeptError, CancelledByWishError) as error:
                logger.info("a job came to nothing", extra={"projection": job.name, "reason": str(error)})


async def perform(
    job: Job,
    projection: Projection,
    held: AsyncConnection[Any],
    connect: Connect,
    told: Told = lambda _: None,
    *,
    grace_s: float = GRACE_S,
) -> Rebuilt:
    """Do it, over a connection that holds the builder's lock, and write down how far it is and how it ended.

    Cancelled from outside, or when Postgres is lost, it stays open. Raises CancelledByWishError, PoisonError,
    SwapFailedError, NotKeptError, psycopg.OperationalError.
    """
    async with await connect() as notes:
        try:
            rebuilt = await _watched(job, projection, held, notes, connect, told, grace_s)
        except CancelledByWishError:
            await generations.drop_left_over(held, job.name, grace_s, building=True)
            await jobs.end(notes, job.id, JobState.CANCELLED)
            raise
        except PoisonError as poison:
            await jobs.end(notes, job.id, JobState.FAILED, fault=poison.reason, parked=poison.position)
            raise
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            known = isinstance(error, SwapFailedError | NotKeptError)
            fault = str(error) if known else f"{type(error).__name__}: {error}"
            await jobs.end(notes, job.id, JobState.FAILED, fault=fault)
            raise
        await jobs.end(notes, job.id, JobState.DONE, generation=rebuilt.generation, done=rebuilt.position)
        return rebuilt


async def _watched(
    job: Job,
    projection: Projection,
    held: AsyncConnection[Any],
    notes: AsyncConnection[Any],
    connect: Connect,
    told: Told,
    grace_s: float,
) -> Rebuilt:
    latest = Progress(job.done, job.total, 0.0, 0.0)

    def tell(progress: Progress) -> None:
        nonlocal latest
        latest = progress
        told(progress)

    if job.kind == Kind.ROLLBACK:
        working = asyncio.create_task(roll_back(projection, held, connect, tell))
    else:
        working = asyncio.create_task(build(projection, held, connect, tell, grace_s=grace_s))
    try:
        while not working.done():
            if not await jobs.note(notes, job.id, latest):
                raise CancelledByWishError(f"The {job.kind} of {job.name} was cancelled.")
            await asyncio.wait((working,), timeout=NOTE_S)
        rebuilt = working.result()
        await jobs.note(notes, job.id, latest)
        return rebuilt
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
