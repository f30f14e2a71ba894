"""Workflows as the editor saves them are kept with the graph that is made of them."""

from typing import Any

import msgspec
import pytest

from commands.backends import RegisterBackend, SeeBackend, TakeStock
from commands.conversion import convert, draw
from commands.runs import SubmitRun
from commands.workflows import CreateWorkflow, SaveVersion
from domain.backend import BackendInventoried, BackendSeen
from domain.ids import AccountId
from domain.refusals import Conflict, Invalid
from domain.workflow import Content, WorkflowVersionSaved
from tests.commands.ground import GRAPH, Ground
from tests.domain.facts import ANN, BOB
from tests.workflows.editor.drawings import DRAWINGS
from tests.workflows.editor.recorded import classes, prompts
from workflows.descriptions import described, documents
from workflows.inventory import Inventory, digest
from workflows.inventory import written as listed

PLAIN = DRAWINGS["reroutes"]()
PROMPT = prompts()["reroutes"]


async def tells(ground: Ground, name: str, told: dict[str, Any], *, owner: AccountId | None = None) -> None:
    """A live backend that has told of these node classes."""
    bodies = [body for _, body in documents(described(told, {}))]
    inventory = listed(Inventory(described=tuple(map(digest, bodies))))
    await ground.contents.put_all(bodies)
    content = Content(await ground.contents.put(inventory), len(inventory))
    await ground.wish(RegisterBackend(name=name, url="https://gpu.example.org", owner=owner))
    await ground.wish(SeeBackend(sight=BackendSeen(name=name, executor="east")))
    await ground.wish(TakeStock(stock=BackendInventoried(name=name, inventory=content)))
    ground.dispatcher.needs.backends.look_again()


async def kept(ground: Ground) -> tuple[Any, Any]:
    """Both graphs of the version that was saved last."""
    event = (await ground.happened())[-1]
    assert isinstance(event, WorkflowVersionSaved)
    assert event.editor_graph is not None
    graphs = [await ground.contents.get(each.digest) for each in (event.graph, event.editor_graph)]
    return tuple(msgspec.json.decode(each) for each in graphs if each is not None)  # type: ignore[return-value]


@pytest.mark.parametrize("part", ["graph", "editor_graph"])
async def test_both_graphs_are_kept(ground: Ground, part: str) -> None:
    await tells(ground, "gpu-1", classes())
    saved = await ground.wish(CreateWorkflow(owner=ANN, name="x", **{part: PLAIN}))
    assert await kept(ground) == (PROMPT, PLAIN)
    other = DRAWINGS["titles"]()
    await ground.wish(SaveVersion(by=ANN, workflow=saved.id, **{part: other}))
    assert await kept(ground) == (prompts()["titles"], other)


async def test_two_graphs_are_kept_as_they_come(ground: Ground) -> None:
    await ground.wish(CreateWorkflow(owner=ANN, name="x", graph=GRAPH, editor_graph=PLAIN))
    assert await kept(ground) == (GRAPH, PLAIN)


async def test_two_editor_graphs_are_refused(ground: Ground) -> None:
    with pytest.raises(Invalid, match="differ"):
        await ground.wish(CreateWorkflow(owner=ANN, name="x", graph=PLAIN, editor_graph=DRAWINGS["titles"]()))


async def test_while_no_backend_has_told_it_is_said(ground: Ground) -> None:
    with pytest.raises(Conflict, match="API format"):
        await ground.wish(CreateWorkflow(owner=ANN, name="x", graph=PLAIN))
    assert await ground.log.head() == 0


async def test_a_backend_of_somebody_elses_tells_nobody_else(ground: Ground) -> None:
    await tells(ground, f"own-{BOB}", classes(), owner=BOB)
    with pytest.raises(Conflict):
        await ground.wish(CreateWorkflow(owner=ANN, name="x", graph=PLAIN))
    await ground.wish(CreateWorkflow(owner=BOB, name="x", graph=PLAIN))


async def test_backends_complete_one_another(ground: Ground) -> None:
    half = {name: each for name, each in classes().items() if name != "SaveImage"}
    await tells(ground, "gpu-1", half)
    with pytest.raises(Invalid) as refusal:
        await ground.wish(CreateWorkflow(owner=ANN, name="x", graph=PLAIN))
    assert "SaveImage" in refusal.value.errors[0].reason
    await tells(ground, "gpu-2", {"SaveImage": classes()["SaveImage"]})
    await ground.wish(CreateWorkflow(owner=ANN, name="x", graph=PLAIN))
    assert await kept(ground) == (PROMPT, PLAIN)


async def test_what_cannot_be_converted_is_kept_alone_where_that_is_wanted(ground: Ground) -> None:
    wish = CreateWorkflow(owner=ANN, name="x", editor_graph=PLAIN, unconverted_too=True)
    saved = await ground.wish(wish)
    event = (await ground.happened())[-1]
    assert isinstance(event, WorkflowVersionSaved)
    assert (event.graph, event.requirements.node_classes) == (None, ())
    assert "No backend has told of its node classes yet" in event.unconverted
    with pytest.raises(Conflict, match="Version 1 cannot be run"):
        await ground.wish(SubmitRun(by=ANN, workflow=saved.id))

    await tells(ground, "gpu-1", classes())
    strange = {"nodes": [{"id": 7, "type": "Strange"}], "links": [], "version": 0.4}
    again = SaveVersion(by=ANN, workflow=saved.id, editor_graph=strange, unconverted_too=True)
    assert (await ground.wish(again)).version == 2
    event = (await ground.happened())[-1]
    assert isinstance(event, WorkflowVersionSaved)
    assert "editor_graph.7" in event.unconverted
    await ground.wish(SaveVersion(by=ANN, workflow=saved.id, editor_graph=PLAIN, unconverted_too=True))
    assert await kept(ground) == (PROMPT, PLAIN)
    for unusable in ({"nodes": "x"}, {"nodes": [], "links": [], "version": 1e999}, None, 7):
        wish = CreateWorkflow(owner=ANN, name="x", editor_graph=unusable, unconverted_too=True)
        with pytest.raises(Invalid):
            await ground.wish(wish)


async def test_a_graph_is_drawn_as_what_would_be_made_of_it(ground: Ground) -> None:
    await tells(ground, "gpu-1", classes())
    needs, graph = ground.dispatcher.needs, prompts()["titles"]
    drawing = msgspec.json.decode(await draw(msgspec.json.encode(graph), "an id", ANN, needs))
    assert await convert(drawing, ANN, needs) == graph
    for meta in (None, [1], {"title": 7}, {}):
        strange = msgspec.json.encode({"1": {"class_type": "X", "inputs": {}, "_meta": meta}})
        assert msgspec.json.decode(await draw(strange, "an id", ANN, needs))["nodes"][0]["type"] == "X"
