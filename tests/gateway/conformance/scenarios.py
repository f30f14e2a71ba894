"""What a client of ComfyUI does, on whatever server: each returns what it was answered."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx

from tests.comfyui.client import Client, empty, node, plain_graph
from tests.comfyui.test_contract_validation import GRAPH_PROBLEMS, NODE_PROBLEMS
from tests.gateway.conformance.comparing import Answers, plain
from tests.http.person import png


async def classes(server: Client) -> Answers:
    names = ("EmptyImage", "ImageScale", "SaveImage", "PreviewImage", "KSampler", "NoSuchClass")
    return [(name, whole(await server.http.get(f"/object_info/{name}"))) for name in names]


async def lists(server: Client) -> Answers:
    """What stands in them depends on the machine: their shapes are what clients rely on."""
    found: Answers = [("nowhere", whole(await server.http.get("/models/nowhere")))]
    for path in ("/models", "/models/loras", "/embeddings", "/extensions", "/experiment/models"):
        answer = await server.http.get(path)
        found.append((path, (answer.status_code, kind(answer), type(answer.json()).__name__)))
    checkpoints = await server.http.get("/models/checkpoints")
    listed = (await server.http.get("/object_info/CheckpointLoaderSimple")).json()
    offered = listed["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    return [*found, ("the same everywhere", offered == checkpoints.json())]


async def settings(server: Client) -> Answers:
    paths = ("/i18n", "/workflow_templates")
    stats = await server.http.get("/system_stats")
    told = stats.json()
    return [
        *[(path, whole(await server.http.get(path))) for path in paths],
        ("features", sorted((await server.http.get("/features")).json())),
        ("system", {"os", "comfyui_version", "python_version", "argv"} <= set(told["system"])),
        ("devices", sorted(told["devices"][0])),
    ]


async def refusals_of_nodes(server: Client) -> Answers:
    return [
        (case, whole(await server.post("/prompt", {"prompt": graph})))
        for case, (graph, *_) in NODE_PROBLEMS.items()
    ]


async def refusals_of_graphs(server: Client) -> Answers:
    return [(case, whole(await server.post("/prompt", body))) for case, (body, *_) in GRAPH_PROBLEMS.items()]


async def one_run(server: Client) -> Answers:
    """From the prompt to the picture, without listening."""
    graph, prompt = plain_graph("conform", color=int(uuid4().hex[:6], 16)), str(uuid4())
    graph["1"]["_meta"] = {"title": "A colour"}
    sent = {
        "prompt": graph,
        "prompt_id": prompt,
        "client_id": "me",
        "extra_data": {"extra_pnginfo": {"a": 1}},
    }
    accepted = await server.post("/prompt", sent)
    await server.ended(prompt)
    entry = (await server.http.get(f"/history/{prompt}")).json()
    newest = (await server.http.get("/history?max_items=1")).json()
    (file,) = entry[prompt]["outputs"]["3"]["images"]
    seen = await server.http.get("/view", params=file)
    part = await server.http.get("/view", params=file, headers={"Range": "bytes=1-3"})
    names = {prompt: "the prompt", file["filename"]: "the file"}
    entry[prompt]["prompt"][0] = 0  # how many came before is the server's business
    same_graph = entry[prompt]["prompt"].pop(2) == graph
    return [
        ("accepted", (accepted.status_code, sorted(accepted.json()), accepted.json()["node_errors"])),
        ("entry", plain(entry, names)),
        ("its graph", same_graph),
        ("newest", list(newest) == [prompt]),
        ("name", re.sub("[0-9]{5}", "number", file["filename"])),
        ("picture", (seen.status_code, kind(seen), seen.content[:4])),
        ("part", (part.status_code, part.content)),
        ("queue", (await server.queue())),
        ("length", (await server.http.get("/prompt")).json()),
    ]


async def good_and_bad_outputs(server: Client) -> Answers:
    graph = plain_graph() | {"8": empty(0, width=-1), "9": node("PreviewImage", images=["8", 0])}
    accepted = await server.post("/prompt", {"prompt": graph})
    told = accepted.json()
    prompt = told.pop("prompt_id")
    told.pop("number")
    ended = await server.ended(prompt)
    return [("accepted", (accepted.status_code, told)), ("outputs", sorted(ended.outputs))]


async def chosen_outputs(server: Client) -> Answers:
    graph = plain_graph() | {"9": node("PreviewImage", images=["1", 0])}
    prompt = await server.submit(graph, partial_execution_targets=["9"])
    ended = await server.ended(prompt)
    return [("outputs", sorted(ended.outputs)), ("type", ended.outputs["9"]["images"][0]["type"])]


async def wishes_for_nothing(server: Client) -> Answers:
    """What is not there is taken away, stopped and forgotten without a word."""
    wishes: list[tuple[str, Any]] = [
        ("/queue", {"delete": [str(uuid4())]}),
        ("/queue", {"clear": True}),
        ("/interrupt", {"prompt_id": str(uuid4())}),
        ("/interrupt", None),
        ("/history", {"delete": [str(uuid4())]}),
        ("/free", {"unload_models": False}),
    ]
    answers = [
        (f"{path} {number}", whole(await server.post(path, body)))
        for number, (path, body) in enumerate(wishes)
    ]
    return [*answers, ("unknown", whole(await server.http.get(f"/history/{uuid4()}")))]


async def uploads(server: Client) -> Answers:
    name = f"{uuid4().hex}.png"
    red, blue = png(color=(200, 0, 0)), png(color=(0, 0, 200))
    found: Answers = []
    names = {name: "mine.png", name.replace(".", " (1)."): "mine (1).png"}
    for case, body, form in (
        ("first", red, {}),
        ("again", red, {}),
        ("another", blue, {}),
        ("over it", blue, {"overwrite": "true"}),
        ("below", red, {"subfolder": "conform"}),
    ):
        found.append((case, plain(whole(await server.upload(name, body, **form)), names)))
    seen = await server.http.get("/view", params={"filename": name, "type": "input"})
    listed = (await server.http.get("/object_info/LoadImage")).json()
    offered = listed["LoadImage"]["input"]["required"]["image"]
    graph = {"1": node("LoadImage", image=name), "2": node("PreviewImage", images=["1", 0])}
    ended = await server.ended(await server.submit(graph))
    return [
        *found,
        ("seen", (seen.status_code, kind(seen), seen.content[:4])),
        ("offered", (name in offered[0], offered[1:])),
        ("loaded", sorted(ended.outputs)),
    ]


async def files_that_are_not_there(server: Client) -> Answers:
    asked = ("filename=nope.png", "filename=", "", "filename=..%2Fx.png", "filename=x.png&type=elsewhere")
    return [(each, (await server.http.get(f"/view?{each}")).status_code) for each in asked]


def whole(answer: httpx.Response) -> Any:
    """Status, kind and content."""
    body = answer.json() if kind(answer) == "application/json" else answer.text
    return plain({"status": answer.status_code, "kind": kind(answer), "body": body}, {})


def kind(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "")).partition(";")[0]


SCENARIOS: dict[str, Callable[[Client], Awaitable[Answers]]] = {
    each.__name__: each
    for each in (
        *(classes, lists, settings, refusals_of_nodes, refusals_of_graphs, one_run, good_and_bad_outputs),
        *(chosen_outputs, wishes_for_nothing, uploads, files_that_are_not_there),
    )
}
