"""pages_vs_bare, pages_flatness: pages of lists that everybody looks at.

One API process serves a page of the gallery, beside `bench.bare`, which has Postgres answer with the same bytes; the
same generator sends to either over 16 kept connections, in turns; the figure is the median of the rounds' ratios.

For the flatness, pages are asked for through the API's `Reader` at a thousand rows and at a million, each list in
turn: the gallery in its four orders, from its beginning and from the middle, by a word and by a tag of a few, and the
comments of one workflow. The rows are put by SQL into builds that take the place of the live ones. The figure is the
list that became slowest: its p50 at a million over that at a thousand. A search by words is planned for those words
each time, which adds about a millisecond at any size; it stands in the detail only.
"""

import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import uvloop
from psycopg import AsyncConnection

from bench import crowd, people
from bench.figures import ratio, spread
from bench.load import get, load
from bench.row import Figure, Ground
from bench.servers import ROOT, answers, environment, running, whole
from domain.ids import WorkflowId
from infra.embedded.child import Child
from infra.embedded.ports import free_port
from infra.settings import Settings
from infra.wiring import pool
from projections import comments, gallery
from projections.catalogue import PROJECTIONS
from projections.gallery import Sort
from projections.reading import Cursor, Reader

FEW, MANY = 1_000, 1_000_000
CONNECTIONS, ROUNDS, SECONDS = 16, 5, 3.0
ASKED = 200  # times each page
WORD = "a word of few"
READER, WORKFLOW = crowd.FEW, WorkflowId(UUID(int=1))

List: TypeAlias = Callable[[Cursor], Awaitable[bytes]]


def measure(ground: Ground) -> Mapping[str, Figure]:
    port, page = free_port(), ground.folder / "page.json"
    many = ground.count(MANY, 5_000)
    with whole(ground.folder, "api", "relay", "project") as ours:
        settings = ours.settings
        ann = people.join(ours.url)
        uvloop.run(_fill(settings, FEW))
        few = uvloop.run(_times(settings, FEW))
        uvloop.run(_fill(settings, many))
        slower = {name: took / few[name] for name, took in uvloop.run(_times(settings, many)).items()}
        page.write_bytes(uvloop.run(_page(settings)))

        def pull(base: str) -> float:
            request = get(f"{base}/api/v1/gallery", ann.token)
            found = load(base, request, connections=CONNECTIONS, seconds=ground.seconds(SECONDS))
            if found.refused:
                raise RuntimeError(f"{found.refused} of {found.answers} requests to {base} were refused.")
            return found.rate

        with running(_bare(port, ground.folder, page, str(settings.query_database_url))):
            bare_url = f"http://127.0.0.1:{port}"
            pull(ours.url), pull(bare_url)  # warm
            rounds = [(pull(ours.url), pull(bare_url)) for _ in range(ground.rounds(ROUNDS))]
    our, bare = [each for each, _ in rounds], [each for _, each in rounds]
    size = f"{many:,} published workflows"
    flat = ", ".join(f"{name} {few[name] * 1000:.2g} ms x{times:.2f}" for name, times in slower.items())
    return {
        "pages_vs_bare": Figure(
            ratio(our, bare), f"pages/s of {size}: ours {spread(our)}, bare {spread(bare)}"
        ),
        "pages_flatness": Figure(
            max(times for name, times in slower.items() if name != WORD),
            f"p50 at {FEW:,} rows, and times as much at {many:,}: {flat}",
        ),
    }


async def _fill(settings: Settings, rows: int) -> None:
    async def connect() -> AsyncConnection[Any]:
        return await AsyncConnection.connect(str(settings.project_database_url), autocommit=True)

    for name in ("gallery", "comments"):
        await crowd.settle(PROJECTIONS[name], connect, rows)


def _lists(rows: int, middle: Mapping[Sort, str]) -> dict[str, List]:
    lists: dict[str, List] = {}
    for sort in Sort:
        lists[sort] = partial(gallery.published, limit=20, sort=sort)
        lists[f"{sort} from the middle"] = partial(gallery.published, limit=20, after=middle[sort], sort=sort)
    lists[WORD] = partial(gallery.published, limit=20, words=f"workflow {rows // 2}")
    lists["a tag of few"] = partial(gallery.published, limit=20, tag=f"tag{rows // 100}")
    lists["a tag of all, by likes"] = partial(gallery.published, limit=20, tag="face", sort=Sort.LIKES)
    lists["comments"] = partial(comments.said, place=WORKFLOW, limit=20, parent=None)
    return lists


async def _times(settings: Settings, rows: int) -> dict[str, float]:
    """The p50 of each list's page, in seconds."""
    id, at = UUID(int=rows // 2), 1_767_225_600_000_000 + rows // 2 * 1_000_000
    middle = {
        Sort.NEW: f"{at}.{id}",
        Sort.LIKES: f"500.{id}",
        Sort.RUNS: f"2500.{id}",
        Sort.TRENDING: f"500000.{id}",
    }
    found: dict[str, float] = {}
    async with pool(str(settings.query_database_url)) as connections:
        reader = Reader(connections)
        for name, ask in _lists(rows, middle).items():
            took = [await _asked(reader, ask) for _ in range(ASKED)]
            found[name] = median(took)
    return found


async def _asked(reader: Reader, ask: List) -> float:
    begun = time.perf_counter()
    async with reader.for_account(READER) as cursor:
        body = await ask(cursor)
    took = time.perf_counter() - begun
    if not msgspec.json.decode(body)["items"]:
        raise RuntimeError("A page is empty.")
    return took


async def _page(settings: Settings) -> bytes:
    async with (
        pool(str(settings.query_database_url)) as connections,
        Reader(connections).for_account(READER) as cursor,
    ):
        return await gallery.published(cursor, 20)


def _bare(port: int, folder: Path, page: Path, database: str) -> Child:
    given = ("--port", str(port), "--folder", str(folder), "--page", str(page), "--database", database)
    return Child(
        name="bare",
        argv=(sys.executable, "-m", "bench.bare", *given),
        cwd=ROOT,
        log=folder / "log" / "bare.log",
        environment=environment(),
        is_ready=lambda _: answers(port),
    )
