"""`comfyplus replay NAME` and `comfyplus projections rollback NAME`, with a progress bar."""

import asyncio
import sys
from collections.abc import Sequence

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from infra.settings import Settings
from infra.wiring import connect, needed, read_models
from projections import generations, jobs
from projections.catalogue import PROJECTIONS
from projections.jobs import Job, JobState, Kind, OpenJobError
from projections.overtaking import Progress, SwapFailedError
from projections.pages import Connect
from projections.rebuild import BusyError, Rebuilt, holding
from projections.rebuilding import CancelledByWishError, perform
from projections.rollback import NotKeptError
from projections.writer import PoisonError

OPERATOR = "operator"
REFUSALS = (
    BusyError,
    CancelledByWishError,
    NotKeptError,
    OpenJobError,
    PoisonError,
    SwapFailedError,
    psycopg.OperationalError,
)


def replay(settings: Settings, names: Sequence[str], kind: Kind = Kind.REBUILD) -> int:
    """Returns the exit code: 0 done, 1 not done (the live build is unchanged), 2 no such read model."""
    unknown = [name for name in names if name not in PROJECTIONS]
    if unknown:
        print(f"There is no read model {unknown[0]!r}. There are: {', '.join(PROJECTIONS)}.", file=sys.stderr)
        return 2
    return max(_replay(settings, name, kind) for name in names)


def _replay(settings: Settings, name: str, kind: Kind) -> int:
    try:
        rebuilt = asyncio.run(replay_with_bar(settings, name, Console(stderr=True), kind))
    except REFUSALS as error:
        print(f"{name} was not replaced: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name} was not replaced: cancelled.", file=sys.stderr)
        return 130
    took_s = rebuilt.bulk_s or rebuilt.elapsed_s
    print(f"{name}: {rebuilt.position} events in {took_s:.1f} s, swapped in {rebuilt.swap_s * 1000:.0f} ms.")
    return 0


async def replay_with_bar(
    settings: Settings, name: str, console: Console, kind: Kind = Kind.REBUILD
) -> Rebuilt:
    """Raises one of REFUSALS. Cancelled, it leaves nothing to be gone on with; killed, it does."""
    opens = connect(needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL"))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=False) as bars:
        task = bars.add_task(f"{kind} {name}", total=None, speed="")

        def told(progress: Progress) -> None:
            speed = f"{progress.events_s:,.0f} events/s, {progress.eta_s:.0f} s left"
            bars.update(task, completed=progress.done, total=progress.total, speed=speed)

        async with read_models(settings) as models, holding(name, opens) as held:
            job, grace_s = await jobs.take(held, name, kind, OPERATOR), settings.keep_replaced_s
            try:
                return await perform(job, models[name], held, opens, told, grace_s=grace_s)
            except asyncio.CancelledError:
                await _leave_nothing(opens, job, grace_s)
                raise


async def _leave_nothing(opens: Connect, job: Job, grace_s: float) -> None:
    async with await opens() as connection:  # the other may be in the middle of something
        await generations.drop_left_over(connection, job.name, grace_s, building=True)
        await jobs.end(connection, job.id, JobState.CANCELLED)
