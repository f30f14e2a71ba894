"""Workflows as the editor saves them, over HTTP."""

from tests.http.errands import eventually
from tests.http.executor import by_hand
from tests.http.person import joined
from tests.http.problems import refused
from tests.http.whole import Whole
from tests.workflows.editor.drawings import DRAWINGS
from tests.workflows.editor.recorded import classes, prompts
from workflows.inventory import Inventory

NODES = {"EmptyImage": "nodes", "SaveImage": "nodes"}


async def test_a_drawing_is_kept_with_its_graph(own: Whole) -> None:
    drawn, other = DRAWINGS["titles"](), DRAWINGS["subgraph"]()
    async with joined(own) as ann, by_hand(own) as hand:
        refused(await ann.ask("POST", "/workflows", json={"name": "a", "graph": drawn}), 409)
        await hand.has(Inventory(node_classes=NODES), classes())
        kept: list[str] = []

        async def converts() -> bool:
            answer = await ann.ask("POST", "/workflows", json={"name": "a", "graph": drawn})
            kept.extend([answer.json()["id"]] if answer.status_code == 201 else [])
            return bool(kept)

        await eventually(converts)  # what backends tell is looked at every second
        shown = await ann.get(f"/workflows/{kept[0]}")
        assert (shown["graph"], shown["editor_graph"]) == (prompts()["titles"], drawn)
        assert shown["requirements"]["node_classes"] == ["EmptyImage", "SaveImage"]
        await ann.post(f"/workflows/{kept[0]}/versions", {"editor_graph": other})
        assert (await ann.get(f"/workflows/{kept[0]}/versions/2"))["graph"] == prompts()["subgraph"]
        strange = {"nodes": [{"id": 7, "type": "Strange"}], "links": [], "version": 0.4}
        problem = refused(await ann.ask("POST", "/workflows", json={"name": "a", "graph": strange}), 422)
        assert problem["errors"][0]["field"] == "editor_graph.7"
