"""`comfyplus objects ...`: moving files between disk and S3, and looking whether all are there and whole."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence

import psycopg
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from adapters.storage.erasures import ErasureFile
from commands.ports import Objects, ObjectsAwayError
from domain.ids import Digest
from infra.backup.manifest import ObjectLine
from infra.backup.objects import referred
from infra.embedded.child import ChildFailedError
from infra.objects import disk_folder, opened, stores
from infra.operating import owner_database
from infra.settings import Settings, erasures_path
from infra.wiring import now
from services.moving import Fate, Moved, Moving, is_whole
from services.moving_loras import MovingLoras

SHOWN = 20


def move(settings: Settings) -> int:
    """Returns the exit code: 0 all moved, 1 some not, 2 there is nothing to move from or a store is away."""
    if settings.s3_bucket is None:
        print("There is one store only: name a bucket by COMFYPLUS_S3_BUCKET.", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_move(settings))
    except (ObjectsAwayError, OSError) as error:
        print(f"Not finished: {error} Begin again to go on.", file=sys.stderr)
        return 2


async def _move(settings: Settings) -> int:
    bucket = f"the bucket {settings.s3_bucket}"
    ways = (str(disk_folder(settings)), bucket)
    source, target = ways[::-1] if settings.objects == "disk" else ways
    fates: Counter[Fate] = Counter()
    damaged: list[Digest] = []
    async with stores(settings) as found:
        assert found.old is not None
        total = 0
        with Console(stderr=True).status(f"looking at {source}"):
            async for each in found.old.objects.listed():
                total += each.size_bytes
        with _bars() as bars:
            bar = bars.add_task(f"to {target}", total=total)

            def told(moved: Moved) -> None:
                bars.advance(bar, moved.object.size_bytes)
                fates[moved.fate] += 1
                if moved.fate is Fate.DAMAGED:
                    damaged.append(moved.object.digest)

            old, new = found.old, found.new
            await MovingLoras(old.objects, new.objects, old.loras, new.loras, now).all(told)
            await Moving(old.objects, new.objects, now).all(told)
    print(
        f"{fates[Fate.MOVED]:,} files were moved from {source} to {target}, each read back before it was removed."
    )
    if damaged:
        print(f"{len(damaged):,} are damaged and stay where they are:", file=sys.stderr)
        print("\n".join(f"  {digest}" for digest in damaged[:SHOWN]), file=sys.stderr)
    return 1 if damaged else 0


def verify(settings: Settings, *, quick: bool) -> int:
    """Returns the exit code: 0 all there and whole, 1 some not, 2 that cannot be found out."""
    try:
        with owner_database(settings) as url, psycopg.connect(url, connect_timeout=5) as connection:
            lines = list(referred(connection))
        erased = asyncio.run(ErasureFile(erasures_path(settings)).noted())
        wanted = [line for line in lines if not line.owners or not erased.keys() >= set(line.owners)]
        missing, damaged = asyncio.run(_look(settings, wanted, quick=quick))
    except (ChildFailedError, ObjectsAwayError, psycopg.Error, OSError) as error:
        print(f"Not verified. {error}", file=sys.stderr)
        return 2
    looked = "there" if quick else "there and whole"
    good = len(wanted) - len(missing) - len(damaged)
    print(f"{good:,} of {len(wanted):,} files that the log refers to are {looked}.")
    for word, found in (("missing", missing), ("damaged", damaged)):
        if found:
            print(f"{len(found):,} are {word}:", file=sys.stderr)
            for line in found[:SHOWN]:
                print(f"  {line.digest}  {line.size_bytes} bytes", file=sys.stderr)
    return 1 if missing or damaged else 0


async def _look(
    settings: Settings, lines: Sequence[ObjectLine], *, quick: bool
) -> tuple[list[ObjectLine], list[ObjectLine]]:
    """Those that are missing, and those that are damaged."""
    missing, damaged = [], []
    async with opened(settings) as objects:
        with _bars() as bars:
            bar = bars.add_task("looking", total=sum(line.size_bytes for line in lines))
            for line in lines:
                size = await objects.size(Digest(line.digest))
                if size is None:
                    missing.append(line)
                elif size != line.size_bytes or not (quick or await _whole(objects, line)):
                    damaged.append(line)
                bars.advance(bar, line.size_bytes)
    return missing, damaged


async def _whole(objects: Objects, line: ObjectLine) -> bool:
    return await is_whole(objects, Digest(line.digest))


def _bars() -> Bars:
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
