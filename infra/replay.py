"""`comfyplus replay NAME`: a read model built anew beside the live one, with a progress bar."""

import asyncio
import sys

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from infra.settings import Settings
from infra.wiring import connect, needed, read_models
from projections.catalogue import PROJECTIONS
from projections.rebuild import BusyError, Progress, Rebuilt, SwapFailedError, rebuild
from projections.writer import PoisonError


def replay(settings: Settings, name: str) -> int:
    """Returns the exit code: 0 done, 1 not done (the live build is unchanged), 2 no such read model."""
    if name not in PROJECTIONS:
        print(f"There is no read model {name!r}. There are: {', '.join(PROJECTIONS)}.", file=sys.stderr)
        return 2
    try:
        rebuilt = asyncio.run(replay_with_bar(settings, name, Console(stderr=True)))
    except (BusyError, SwapFailedError, PoisonError, psycopg.OperationalError) as error:
        print(f"{name} was not replaced: {error}", file=sys.stderr)
        return 1
    print(
        f"{name}: {rebuilt.position} events in {rebuilt.bulk_s:.1f} s, swapped in {rebuilt.swap_s * 1000:.0f} ms."
    )
    return 0


async def replay_with_bar(settings: Settings, name: str, console: Console) -> Rebuilt:
    """Raises what `rebuild` raises."""
    url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=False) as bars:
        task = bars.add_task(f"replay {name}", total=None, speed="")

        def told(progress: Progress) -> None:
            speed = f"{progress.events_s:,.0f} events/s, {progress.eta_s:.0f} s left"
            bars.update(task, completed=progress.done, total=progress.total, speed=speed)

        async with read_models(settings) as models:
            return await rebuild(models[name], connect(url), told)
