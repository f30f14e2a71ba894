"""Graphs that load pictures by the names that ComfyUI's clients know them by."""

from typing import Any

import msgspec

from tests.gateway.test_files import upload, view
from tests.http.executor import by_hand
from tests.http.person import Person, joined, png
from tests.http.whole import Whole


def loading(*names: str) -> dict[str, Any]:
    loaders = {
        str(at): {"class_type": "LoadImage", "inputs": {"image": name}} for at, name in enumerate(names, 1)
    }
    saving = {"images": ["1", 0], "filename_prefix": "deep/fox"}
    return loaders | {"9": {"class_type": "SaveImage", "inputs": saving}}


async def submitted(person: Person, graph: dict[str, Any]) -> Any:
    answer = await person.http.post("/comfy/api/prompt", json={"prompt": graph, "client_id": "w"})
    assert answer.status_code in (200, 400), answer.text
    return answer.json()


async def test_a_prompt_loads_what_its_account_has_uploaded_and_made(served: Whole) -> None:
    async with joined(served) as ann, joined(served) as bob, by_hand(served) as hand:
        red, blue = png(color=(255, 0, 0)), png(color=(0, 0, 255))
        await upload(ann, red)
        await upload(ann, blue, "red.png", subfolder="pasted")
        first = loading("red.png", "pasted/red.png [input]")
        told = await submitted(ann, first)
        claimed = await hand.claim(str((await ann.get("/runs"))["items"][0]["id"]))
        graph = msgspec.json.decode(claimed.graph or b"{}")
        seen = [graph[node]["inputs"]["image"].removeprefix("input:") for node in ("1", "2")]
        bodies = {
            (await view(ann, "red.png", type="input", subfolder=where)).content for where in ("", "pasted")
        }
        assert (len(set(seen)), len(bodies)) == (2, 2)
        await hand.start(claimed)
        made = await hand.store(claimed, png(20, 10), name="fox_00001_.png")
        await hand.succeed(claimed)
        entry = (await ann.http.get(f"/comfy/history/{told['prompt_id']}")).json()[told["prompt_id"]]
        assert entry["prompt"][2] == first

        await submitted(ann, loading("fox_00001_.png [output]"))
        claimed = await hand.claim(str((await ann.get("/runs"))["items"][0]["id"]))
        graph = msgspec.json.decode(claimed.graph or b"{}")
        assert graph["1"]["inputs"]["image"] == f"input:{made.digest}"
        await hand.fail(claimed)

        for name in ("red.png", "fox_00001_.png [output]", "../red.png", "/etc/passwd"):
            refused = await submitted(bob, loading(name))
            assert "graph.1.inputs.image" in refused["error"]["details"], name
        assert (await bob.get("/runs"))["items"] == []
