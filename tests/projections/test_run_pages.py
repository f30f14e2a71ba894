"""One's own runs and outputs are found by whatever one remembers of them, and by nobody else."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from msgspec.structs import replace

from domain.event import Event
from domain.ids import OutputId, WorkflowId, output_id
from domain.refusals import Invalid
from domain.rendition import Format, Rendition
from domain.run import OutputDeleted, OutputStarred, OutputStored, RunCancelled, RunClaimed, RunSubmitted
from domain.source import TemplateSource
from domain.workflow import Requirements
from projections import run_status
from projections.reading import Cursor
from projections.rebuild import rebuild
from projections.run_pages import OutputFilters, RunFilters
from tests.projections.ground import NOON, PROJECTIONS, Books, connecting, folded, reading
from tests.projections.stories import ANN, BOB, GRAPH, output, submitted
from tests.servers import Database

WORKFLOW = UUID(int=9)
FIRST, SECOND, THIRD, STRANGE = (UUID(int=n) for n in range(1, 5))
MODELS = ("checkpoints/sdxl/base.safetensors", "loras/user-1/ink.safetensors")
FILTERS: list[tuple[RunFilters, list[UUID]]] = [
    (RunFilters(), [THIRD, SECOND, FIRST]),
    (RunFilters(status="cancelled"), [THIRD]),
    (RunFilters(workflow=WORKFLOW), [FIRST]),
    (RunFilters(template="card"), [SECOND]),
    (RunFilters(backend="gpu-1"), [FIRST]),
    (RunFilters(lora="ink.safetensors"), [FIRST]),
    (RunFilters(lora="user-1/ink.safetensors"), [FIRST]),
    (RunFilters(lora="loras/user-1/ink.safetensors"), [FIRST]),
    (RunFilters(lora="nk.safetensors"), []),
    (RunFilters(lora="base.safetensors"), []),
    (RunFilters(model="base.safetensors"), [FIRST]),
    (RunFilters(model="ink.safetensors"), []),
    (RunFilters(model="%"), []),
    (RunFilters(q="fox"), [SECOND]),
    (RunFilters(q="snowy FOX -dog"), [SECOND]),
    (RunFilters(q="dog"), []),
    (RunFilters(starred=True), [FIRST]),
    (RunFilters(starred=False), [THIRD, SECOND]),
    (RunFilters(since=NOON.replace(second=6), until=NOON.replace(second=7)), [SECOND]),
    (RunFilters(q="fox", template="card", starred=False, status="queued"), [SECOND]),
]


def story() -> list[tuple[UUID, Any, Event]]:
    """Of three runs of ann's and one of bob's."""
    first = replace(submitted(ANN, WORKFLOW), requirements=Requirements((), MODELS))
    card = TemplateSource("card", GRAPH, GRAPH)
    film = replace(output("9", 1), media_type="video/mp4", thumbnails=())
    second = RunSubmitted(owner=ANN, graph=GRAPH, source=card, words="A snowy fox; Größe 1")
    bobs = RunSubmitted(owner=BOB, graph=GRAPH, source=card, words="A snowy fox")
    return [
        (FIRST, ANN, first),
        (FIRST, ANN, RunClaimed(epoch=1, backend="gpu-1", executor="one")),
        (FIRST, ANN, OutputStored(epoch=1, output=output("9", 0))),
        (FIRST, ANN, OutputStored(epoch=1, output=film)),
        (FIRST, ANN, OutputStarred(node="9", index=0)),
        (SECOND, ANN, second),
        (THIRD, ANN, submitted(ANN)),
        (THIRD, ANN, OutputStored(epoch=1, output=output("7"))),
        (THIRD, ANN, OutputStored(epoch=1, output=output("8"))),
        (THIRD, ANN, RunCancelled(by=ANN)),
        (THIRD, ANN, OutputDeleted(node="8", index=0, size_bytes=1234)),
        (STRANGE, BOB, bobs),
        (STRANGE, BOB, OutputStored(epoch=1, output=output("9", 0))),
    ]


@pytest.fixture
async def cursor(database: Database, books: Books) -> AsyncIterator[Cursor]:
    books.add(*story())
    await rebuild(PROJECTIONS["run_status"], connecting(database))
    async with reading(database) as reader, reader.for_account(ANN) as cursor:
        yield cursor


def found(body: bytes) -> list[Any]:
    return list(msgspec.json.decode(body)["items"])


async def test_runs_are_found_by_what_is_remembered_of_them(cursor: Cursor) -> None:
    for filters, wanted in FILTERS:
        page = found(await run_status.own_runs(cursor, ANN, 10, filters=filters))
        assert [UUID(each["id"]) for each in page] == wanted, filters
        assert found(await run_status.own_runs(cursor, BOB, 10, filters=filters)) == [], filters


async def test_filtered_pages_go_on_where_they_ended(cursor: Cursor) -> None:
    for filters, wanted in FILTERS:
        after, ids = None, []
        while True:
            page = msgspec.json.decode(await run_status.own_runs(cursor, ANN, 1, after, filters=filters))
            ids += [UUID(each["id"]) for each in page["items"]]
            if (after := page["next_cursor"]) is None:
                break
        assert ids == wanted, filters


async def test_a_run_in_a_list_has_thumbnails(cursor: Cursor) -> None:
    third, second, first = found(await run_status.own_runs(cursor, ANN, 10))
    assert (first["output_count"], second["output_count"], third["output_count"]) == (2, 0, 1)
    assert [each["digest"] for each in first["thumbnails"]] == ["cd" * 32]
    assert second["thumbnails"] == []


@pytest.mark.parametrize(
    ("filters", "nodes"),
    [
        (OutputFilters(), ["7.0", "9.1", "9.0"]),
        (OutputFilters(workflow=WORKFLOW), ["9.1", "9.0"]),
        (OutputFilters(starred=True), ["9.0"]),
        (OutputFilters(starred=False), ["7.0", "9.1"]),
        (OutputFilters(media_type="video"), ["9.1"]),
        (OutputFilters(media_type="image/png"), ["7.0", "9.0"]),
        (OutputFilters(media_type="im"), []),
        (OutputFilters(since=NOON.replace(second=5)), ["7.0"]),
        (OutputFilters(until=NOON.replace(second=5), starred=False), ["9.1"]),
    ],
    ids=str,
)
async def test_outputs_are_found(cursor: Cursor, filters: OutputFilters, nodes: list[str]) -> None:
    page = found(await run_status.own_outputs(cursor, ANN, 10, filters=filters))
    assert [f"{each['node']}.{each['index']}" for each in page] == nodes


async def test_an_output_is_known_by_its_id_to_its_owner_only(cursor: Cursor) -> None:
    mine = output_id(FIRST, "9", 0)  # type: ignore[arg-type]  # a RunId is a UUID
    bobs = output_id(STRANGE, "9", 0)  # type: ignore[arg-type]
    shown = msgspec.json.decode(await run_status.own_output(cursor, mine) or b"null")
    assert (shown["output"]["id"], shown["run"]["id"]) == (str(mine), str(FIRST))
    assert (shown["output"]["starred"], shown["output"]["rendition"]) == (True, None)
    assert await run_status.own_output(cursor, bobs) is None
    asked = [mine, bobs, OutputId(uuid4())]
    assert [each["id"] for each in msgspec.json.decode(await run_status.some_outputs(cursor, asked))] == [
        str(mine)
    ]


@pytest.mark.parametrize(
    "filters",
    [
        RunFilters(status="lost"),
        RunFilters(q=""),
        RunFilters(lora="a\0"),
        RunFilters(model="x" * 201),
        OutputFilters(media_type=""),
    ],
)
async def test_what_nobody_can_look_for_is_refused(filters: RunFilters | OutputFilters) -> None:
    with pytest.raises(Invalid):
        run_status.asked_for(filters, ANN, 10, None)


def test_a_run_of_its_own_mind_keeps_its_rendition() -> None:
    own = Rendition(format=Format.WEBP)
    told = replace(submitted(ANN), workflow=WorkflowId(WORKFLOW), rendition=own)
    (row,) = folded(PROJECTIONS["run_status"], (FIRST, told))["run_traits"]
    assert (row.rendition, row.models, row.words) == (own, (), "")
    assert folded(PROJECTIONS["run_status"], (FIRST, submitted(ANN)))["run_traits"] == []
