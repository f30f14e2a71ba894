"""Graphs that load pictures by the names that ComfyUI's clients know them by."""

import re
from typing import Any

import msgspec

from tests.gateway.test_files import upload, view
from tests.http.executor import by_hand
from tests.http.person import Person, joined, png
from tests.http.whole import Whole
from tests.workflows.media_files import FILES
from workflows.inputs import referred


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


async def test_a_prompt_loads_sound_and_shapes_and_each_node_only_what_it_can(served: Whole) -> None:
    async with joined(served) as ann, by_hand(served) as hand:
        await upload(ann, FILES["a.wav"], "song.wav")
        await upload(ann, FILES["a.glb"], "cup.glb", subfolder="3d")
        await upload(ann, png(), "scene.png", subfolder="threed", type="temp")
        saving = {"9": {"class_type": "SaveAudio", "inputs": {"audio": ["1", 0], "filename_prefix": "x"}}}
        views = dict.fromkeys(("image", "mask", "normal", "lineart"), "threed/scene.png [temp]")
        graph = {
            "1": {"class_type": "LoadAudio", "inputs": {"audio": "song.wav"}},
            "2": {
                "class_type": "Load3D",
                "inputs": {"model_file": "3d/cup.glb", "image": views | {"recording": "", "camera_info": {}}},
            },
        } | saving
        told = await submitted(ann, graph)
        claimed = await hand.claim(str((await ann.get("/runs"))["items"][0]["id"]))
        resolved = msgspec.json.decode(claimed.graph or b"{}")
        assert re.fullmatch("input:[0-9a-f]{64}[.]wav", resolved["1"]["inputs"]["audio"])
        assert re.fullmatch("input:[0-9a-f]{64}[.]glb", resolved["2"]["inputs"]["model_file"])
        assert re.fullmatch("input:[0-9a-f]{64}", resolved["2"]["inputs"]["image"]["lineart"])
        assert resolved["2"]["inputs"]["image"]["recording"] == ""
        assert len(referred(resolved)) == 3
        await hand.start(claimed)
        await hand.succeed(claimed)
        entry = (await ann.http.get(f"/comfy/history/{told['prompt_id']}")).json()[told["prompt_id"]]
        assert entry["prompt"][2] == graph
        for node, input, name in (
            ("LoadAudio", "audio", "threed/scene.png [temp]"),
            ("LoadAudio", "audio", "../song.wav"),
            ("LoadImage", "image", "song.wav"),
            ("LoadVideo", "file", "song.wav"),
            ("Load3D", "model_file", "song.wav"),
        ):
            wrong = {"1": {"class_type": node, "inputs": {input: name}}} | saving
            refused = await submitted(ann, wrong)
            assert f"graph.1.inputs.{input}" in refused["error"]["details"], (node, name)
