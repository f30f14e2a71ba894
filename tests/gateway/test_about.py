"""What the machines can do, as ComfyUI's clients ask for it: with one's own among it, and nobody else's."""

from typing import Any

import httpx
from msgspec.structs import replace

from tests.http.administrators import administrator
from tests.http.errands import eventually
from tests.http.executor import by_hand
from tests.http.person import Person, joined, png
from tests.http.test_loras import change, put
from tests.http.whole import Whole
from tests.workflows.editor.recorded import classes
from workflows.inventory import Inventory

MODELS = {"checkpoints": ("sd15.safetensors", "secret.safetensors"), "embeddings": ("easy/neg.pt",)}
HAS = Inventory(
    version="0.3.70",
    device="cuda:0 gpu",
    vram_bytes=8 << 30,
    models=MODELS,
    takes_loras=True,
    ram_bytes=1 << 34,
)


FILES = {
    "Looks nice/a.js": b"export {};",
    "Looks nice/big.css": b"/* " + b"x" * 700_000 + b" */",
    "Looks nice/page.html": b"<b>part</b>",
    "pack/a.js": b"of nodes that are not let through",
}


def told() -> dict[str, Any]:
    found = classes()
    wanted = ("KSampler", "LoraLoader", "CheckpointLoaderSimple", "LoadImage", "SaveImage", "CheckpointSave")
    named: dict[str, Any] = {name: found[name] for name in wanted}
    ckpt = named["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"]
    ckpt[0][:] = list(MODELS["checkpoints"])
    return named | {"Foreign": named["SaveImage"] | {"python_module": "custom_nodes.pack"}}


MODULES = {name: each["python_module"] for name, each in told().items()}


async def comfy(person: Person, path: str, **more: Any) -> httpx.Response:
    return await person.http.request(more.pop("method", "GET"), f"/comfy/api{path}", **more)


async def choices(person: Person, name: str, input: str) -> list[str]:
    told = (await comfy(person, f"/object_info/{name}")).json()
    return list(told[name]["input"]["required"][input][0])


async def scripts_are_served(person: Person) -> None:
    assert (await comfy(person, "/extensions")).json() == ["/extensions/Looks%20nice/a.js"]
    for path, kind in (("a.js", "text/javascript"), ("big.css", "text/css"), ("page.html", "text/plain")):
        shown = await person.http.get(f"/editor/extensions/Looks%20nice/{path}")
        assert shown.content == FILES[f"Looks nice/{path}"]
        assert shown.headers["content-type"].startswith(kind)
    again = await person.http.get(
        "/comfy/extensions/Looks%20nice/page.html", headers={"If-None-Match": shown.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    for path in ("Looks%20nice/b.js", "Foreign/a.js", "pack/a.js", "..%2Fa.js"):
        assert (await comfy(person, f"/extensions/{path}")).status_code == 404


async def test_each_account_is_told_of_nodes_with_its_own_files(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob, by_hand(own) as hand:
        assert (await comfy(ann, "/object_info")).json() == {}
        await hand.has(replace(HAS, node_classes=MODULES), told(), FILES)

        async def is_known() -> bool:
            return len((await comfy(ann, "/object_info")).json()) > 0

        await eventually(is_known)  # what backends tell is looked at every second
        lora = await put(ann, "fog")
        path = (await ann.get(f"/loras/{lora}"))["graph_name"]
        sent = {"image": ("red.png", png(), "image/png")}
        assert (await comfy(ann, "/upload/image", method="POST", files=sent)).json()["name"] == "red.png"
        everything = (await comfy(ann, "/object_info")).json()
        assert set(everything) == {
            "KSampler",
            "LoraLoader",
            "CheckpointLoaderSimple",
            "LoadImage",
            "SaveImage",
        }
        assert everything["KSampler"] == told()["KSampler"]
        assert (await comfy(ann, "/object_info/Foreign")).json() == {}
        assert await choices(ann, "LoraLoader", "lora_name") == ["fog", path]
        assert await choices(bob, "LoraLoader", "lora_name") == []
        assert (await comfy(ann, "/models/loras")).json() == ["fog", path]
        assert await choices(ann, "LoadImage", "image") == ["red.png"]
        assert await choices(bob, "LoadImage", "image") == []
        await change(ann, lora, public=True)
        assert await choices(bob, "LoraLoader", "lora_name") == [path]

        known = await comfy(ann, "/object_info")
        again = await comfy(ann, "/object_info", headers={"If-None-Match": known.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        await put(ann, "rain")
        assert (await comfy(ann, "/object_info")).headers["etag"] != known.headers["etag"]

        async with administrator(own) as root:
            kept = {"type": "checkpoints", "name": "secret.safetensors", "reason": "Licensed."}
            await root.post("/admin/models", kept | {"audience": {"accounts": [bob.name]}})
        assert await choices(ann, "CheckpointLoaderSimple", "ckpt_name") == ["sd15.safetensors"]
        assert (await comfy(ann, "/models/checkpoints")).json() == ["sd15.safetensors"]
        assert await choices(bob, "CheckpointLoaderSimple", "ckpt_name") == list(MODELS["checkpoints"])

        await scripts_are_served(ann)
        assert (await comfy(ann, "/embeddings")).json() == ["easy/neg"]
        assert (await comfy(ann, "/models/nowhere")).status_code == 404
        assert {"checkpoints", "loras", "embeddings"} <= set((await comfy(ann, "/models")).json())
        listed = (await comfy(ann, "/experiment/models/checkpoints")).json()
        assert listed == [{"name": "sd15.safetensors", "pathIndex": 0}]
        assert {"name": "vae", "folders": ["vae"]} in (await comfy(ann, "/experiment/models")).json()
        stats = (await comfy(ann, "/system_stats")).json()
        assert stats["system"]["comfyui_version"] == "0.3.70"
        assert stats["system"]["argv"] == []
        assert [(each["name"], each["vram_total"]) for each in stats["devices"]] == [("cuda:0 gpu", 8 << 30)]


async def test_nothing_is_told_of_machines_and_others(ann: Person) -> None:
    for path in ("/i18n", "/global_subgraphs", "/workflow_templates", "/internal/folder_paths"):
        assert (await comfy(ann, path)).json() == {}
    assert (await comfy(ann, "/internal/logs")).json() == ""
    assert (await comfy(ann, "/internal/logs/raw")).json()["entries"] == []
    assert (await comfy(ann, "/features")).json()["supports_preview_metadata"] is True
    followed = await comfy(ann, "/internal/logs/subscribe", method="PATCH", json={"enabled": True})
    freed = await comfy(ann, "/free", method="POST", json={"free_memory": True})
    assert [(each.status_code, each.content) for each in (followed, freed)] == [(200, b"")] * 2
