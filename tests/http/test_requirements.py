"""What a version needs, over HTTP."""

from adapters.http.requirements import RequirementsAnswer
from tests.http.executor import by_hand
from tests.http.person import GRAPH, Person
from tests.http.problems import refused
from tests.http.test_workflows import shaped
from tests.http.whole import Whole


async def test_a_version_tells_what_it_needs_and_who_could_run_it(
    served: Whole, ann: Person, bob: Person, nobody: Person
) -> None:
    lacking = {"9": {"class_type": "NobodyHasIt", "inputs": {"ckpt_name": "none.safetensors"}}}
    workflow = await ann.workflow(graph=GRAPH | lacking)
    path = f"/workflows/{workflow}/versions/1/requirements"
    async with by_hand(served):  # a backend that has told nothing yet
        found = await ann.get(path)
    shaped(RequirementsAnswer, found)
    assert found["node_classes"] == ["EmptyImage", "NobodyHasIt", "SaveImage"]
    assert found["models"] == [
        {"type": "checkpoints", "name": "none.safetensors", "uploaded": False, "nodes": ["9"]}
    ]
    assert found["sizes"] == [
        {"node": "1", "node_class": "EmptyImage", "width": 64, "height": 64, "batch_size": 1}
    ]
    assert (found["inputs"], found["pool"]) == ([], "shared")
    for each in found["backends"]:
        assert each["able"] == (each["reason"] == "")
    refused(await bob.ask("GET", path), 404)
    refused(await nobody.ask("GET", path), 401)
    refused(await ann.ask("GET", path.replace("/1/", "/2/")), 404)
    refused(await ann.ask("GET", path, params={"pool": "nowhere"}), 422)
