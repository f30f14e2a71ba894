"""Keeping workflows."""

from hashlib import sha256
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from commands.ports import KeyReused, ObjectTooLarge, Outdated
from commands.workflows import (
    ChangeWorkflow,
    CreateWorkflow,
    DeleteWorkflow,
    RestoreVersion,
    Saved,
    SaveVersion,
)
from domain.ids import WorkflowId
from domain.refusals import Invalid, NotFound
from domain.workflow import WorkflowCreated, WorkflowVersionSaved
from tests.commands.ground import GRAPH, OTHER_GRAPH, Ground
from tests.domain.facts import ANN, BOB

CREATE = CreateWorkflow(owner=ANN, name="Portrait", graph=GRAPH, tags=("face",))


@pytest.fixture
async def portrait(ground: Ground) -> Saved:
    saved: Saved = await ground.wish(CREATE)
    return saved


async def test_a_workflow_is_created_with_its_first_version(ground: Ground) -> None:
    saved = await ground.wish(CREATE)
    created, version = await ground.happened()
    body = msgspec.json.encode(GRAPH)
    assert created == WorkflowCreated(owner=ANN, name="Portrait", tags=("face",))
    assert isinstance(version, WorkflowVersionSaved)
    assert (version.graph.digest, version.graph.size_bytes) == (sha256(body).hexdigest(), len(body))
    assert version.requirements.models == ("checkpoints/sd15.safetensors",)
    assert await ground.contents.get(version.graph.digest) == body
    assert (saved.version, saved.position) == (1, 2)


async def test_it_may_be_public_from_the_beginning(ground: Ground) -> None:
    saved = await ground.wish(CreateWorkflow(owner=ANN, name="Portrait", graph=GRAPH, public=True))
    assert await ground.told(saved.id) == [
        "workflow.created.v1",
        "workflow.version_saved.v1",
        "workflow.published.v1",
    ]


async def test_created_twice_with_one_key_it_is_there_once(ground: Ground) -> None:
    first = await ground.wish(CREATE, key="k")
    again = await ground.wish(CREATE, key="k")
    assert (again.id, again.version, again.position) == (first.id, 1, first.position)
    with pytest.raises(KeyReused):
        await ground.wish(CreateWorkflow(owner=ANN, name="Other", graph=GRAPH), key="k")


async def test_a_version_is_restored_once_for_each_key(ground: Ground, portrait: Saved) -> None:
    await ground.wish(SaveVersion(by=ANN, workflow=portrait.id, graph=OTHER_GRAPH))
    wish = RestoreVersion(by=ANN, workflow=portrait.id, number=1)
    restored = await ground.wish(wish, key="k")
    assert (restored.version, restored.position) == (3, 4)
    await ground.wish(SaveVersion(by=ANN, workflow=portrait.id, graph=OTHER_GRAPH))
    again = await ground.wish(wish, key="k")
    assert (again.version, again.position) == (3, 4)
    assert len(await ground.happened()) == 5
    with pytest.raises(Outdated):
        await ground.wish(RestoreVersion(by=ANN, workflow=portrait.id, number=1, expected=1))
    with pytest.raises(NotFound):
        await ground.wish(RestoreVersion(by=BOB, workflow=portrait.id, number=1))


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (CreateWorkflow(owner=ANN, name=" ", graph=GRAPH), "name"),
        (CreateWorkflow(owner=ANN, name="x", graph={"nodes": [], "links": []}), "editor_graph"),
        (CreateWorkflow(owner=ANN, name="x"), "graph"),
        (CreateWorkflow(owner=ANN, name="x", graph={}), "graph"),
        (CreateWorkflow(owner=ANN, name="x", graph=GRAPH, editor_graph=[]), "editor_graph"),
        (CreateWorkflow(owner=ANN, name="x", graph=GRAPH, editor_graph={"n": 1e999}), "editor_graph"),
        (CreateWorkflow(owner=ANN, name="x", graph=GRAPH, tags=("",)), "tags"),
    ],
)
async def test_what_makes_no_sense_changes_nothing(ground: Ground, wish: CreateWorkflow, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await ground.wish(wish)
    assert [error.field for error in refusal.value.errors] == [field]
    assert await ground.log.head() == 0


@pytest.mark.parametrize("part", ["graph", "editor_graph"])
async def test_a_graph_too_large_is_refused(ground: Ground, part: str) -> None:
    large = {"1": {"class_type": "Note", "inputs": {"text": "x" * 10_000}}}
    wish: dict[str, Any] = {"graph": GRAPH, part: large}
    with pytest.raises(ObjectTooLarge):
        await ground.wish(CreateWorkflow(owner=ANN, name="x", **wish))
    assert await ground.log.head() == 0


async def test_another_graph_is_another_version(ground: Ground, portrait: Saved) -> None:
    save = SaveVersion(by=ANN, workflow=portrait.id, graph=OTHER_GRAPH, note="less")
    second = await ground.wish(save)
    assert (second.version, second.position) == (2, 3)
    same = await ground.wish(save)
    assert (same.version, same.position) == (2, 0)


async def test_a_version_saved_twice_with_one_key_is_one(ground: Ground, portrait: Saved) -> None:
    save = SaveVersion(by=ANN, workflow=portrait.id, graph=OTHER_GRAPH)
    first = await ground.wish(save, key="k")
    await ground.wish(SaveVersion(by=ANN, workflow=portrait.id, graph=GRAPH))
    again = await ground.wish(save, key="k")
    assert (again.version, again.position) == (first.version, first.position) == (2, 3)


async def test_a_strangers_graph_is_not_even_stored(ground: Ground, portrait: Saved) -> None:
    with pytest.raises(NotFound):
        await ground.wish(SaveVersion(by=BOB, workflow=portrait.id, graph=OTHER_GRAPH))
    assert len(ground.contents.kept) == 1


async def test_several_changes_are_one(ground: Ground, portrait: Saved) -> None:
    await ground.wish(
        ChangeWorkflow(by=ANN, workflow=portrait.id, name="Other", description="Soft.", tags=(), public=True)
    )
    assert (await ground.told(portrait.id))[2:] == [
        "workflow.renamed.v1",
        "workflow.described.v1",
        "workflow.tagged.v1",
        "workflow.published.v1",
    ]
    await ground.wish(ChangeWorkflow(by=ANN, workflow=portrait.id, name="Other", public=False))
    assert (await ground.told(portrait.id))[6:] == ["workflow.withdrawn.v1"]


async def test_of_several_changes_one_that_makes_no_sense_stops_all(ground: Ground, portrait: Saved) -> None:
    with pytest.raises(Invalid):
        await ground.wish(ChangeWorkflow(by=ANN, workflow=portrait.id, name="Other", tags=("",)))
    assert await ground.log.head() == 2


async def test_who_has_seen_an_older_revision_changes_nothing(ground: Ground, portrait: Saved) -> None:
    await ground.wish(ChangeWorkflow(by=ANN, workflow=portrait.id, name="Other", expected=2))
    for wish in (
        ChangeWorkflow(by=ANN, workflow=portrait.id, name="Third", expected=2),
        SaveVersion(by=ANN, workflow=portrait.id, graph=OTHER_GRAPH, expected=2),
        DeleteWorkflow(by=ANN, workflow=portrait.id, expected=2),
    ):
        with pytest.raises(Outdated):
            await ground.wish(wish)
    assert await ground.log.head() == 3


async def test_it_is_deleted_once(ground: Ground, portrait: Saved) -> None:
    delete = DeleteWorkflow(by=ANN, workflow=portrait.id)
    assert (await ground.wish(delete)).position == 3
    assert (await ground.wish(delete)).position == 0
    with pytest.raises(NotFound):
        await ground.wish(ChangeWorkflow(by=ANN, workflow=portrait.id, name="Other"))


async def test_to_strangers_and_for_other_ids_there_is_no_workflow(ground: Ground, portrait: Saved) -> None:
    for wish in (
        ChangeWorkflow(by=BOB, workflow=portrait.id, name="Mine"),
        DeleteWorkflow(by=BOB, workflow=portrait.id),
        SaveVersion(by=ANN, workflow=WorkflowId(uuid4()), graph=GRAPH),
        DeleteWorkflow(by=ANN, workflow=WorkflowId(uuid4())),
    ):
        with pytest.raises(NotFound):
            await ground.wish(wish)
    assert await ground.log.head() == 2
