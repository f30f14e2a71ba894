"""More of what a client does, where the sandbox is no measure: held against what a real ComfyUI 0.3.64 has answered."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
from msgspec import json

from tests.comfyui.client import Client, empty, node, plain_graph
from tests.gateway.conformance.comparing import Answers
from tests.gateway.conformance.sequences import FLAGS, graph, slow, until_executing
from tests.http.person import png

DRAWN: dict[str, Any] = {"nodes": [], "links": [], "version": 0.4, "last_node_id": 0, "last_link_id": 0}
TIMES = ("modified", "created")
PICTURE = ("content-type", "content-length", "content-disposition", "content-range", "accept-ranges")


async def userdata(server: Client) -> Answers:
    """Files of one's own: kept, listed in each way, moved and deleted."""
    top = f"conform-{uuid4().hex}"
    a, b, deep = f"{top}/a.txt", f"{top}/b.json", f"{top}/deep/er/c.css"
    asked: list[tuple[str, str, dict[str, str], bytes | None]] = [
        ("GET", "/userdata", {}, None),
        ("GET", "/userdata", {"dir": ""}, None),
        ("GET", "/userdata", {"dir": top}, None),
        ("POST", file(a), {}, b"one"),
        ("POST", file(a), {"overwrite": "false"}, b"two"),
        ("GET", file(a), {}, None),
        ("POST", file(a), {"overwrite": "true"}, b"three"),
        ("GET", file(a), {}, None),
        ("POST", file(b), {"overwrite": "false", "full_info": "true"}, b"{}"),
        ("POST", file(deep), {}, b".a {}"),
        ("GET", file(deep), {}, None),
        ("GET", "/userdata", {"dir": top}, None),
        ("GET", "/userdata", {"dir": f"{top}/"}, None),
        ("GET", "/userdata", {"dir": top, "split": "true"}, None),
        ("GET", "/userdata", {"dir": top, "recurse": "true"}, None),
        ("GET", "/userdata", {"dir": top, "recurse": "true", "split": "true"}, None),
        ("GET", "/userdata", {"dir": top, "recurse": "false", "split": "false"}, None),
        ("GET", "/userdata", {"dir": top, "full_info": "true"}, None),
        ("GET", "/userdata", {"dir": top, "recurse": "true", "full_info": "true"}, None),
        ("GET", "/userdata", {"dir": top, "recurse": "true", "full_info": "true", "split": "true"}, None),
        ("GET", "/userdata", {"dir": f"{top}/deep"}, None),
        ("GET", "/userdata", {"dir": a}, None),
        ("GET", "/v2/userdata", {"path": top}, None),
        ("GET", "/v2/userdata", {"path": f"{top}/deep"}, None),
        ("GET", "/v2/userdata", {"path": a}, None),
        ("GET", "/v2/userdata", {"path": f"{top}/nowhere"}, None),
        ("GET", "/v2/userdata", {"path": "../.."}, None),
        ("GET", file(f"{top}/nowhere.txt"), {}, None),
        ("GET", file(top), {}, None),
        ("POST", moved(a, f"{top}/moved.txt"), {}, None),
        ("GET", file(a), {}, None),
        ("GET", file(f"{top}/moved.txt"), {}, None),
        ("POST", moved(b, f"{top}/moved.txt"), {"overwrite": "false"}, None),
        ("POST", moved(b, f"{top}/other/b.json"), {"full_info": "true"}, None),
        ("POST", moved(f"{top}/nowhere.txt", b), {}, None),
        ("POST", moved(f"{top}/other/b.json", f"{top}/moved.txt"), {"overwrite": "true"}, None),
        ("GET", file(f"{top}/moved.txt"), {}, None),
        ("DELETE", file(f"{top}/moved.txt"), {}, None),
        ("DELETE", file(f"{top}/moved.txt"), {}, None),
        ("DELETE", file(deep), {}, None),
        ("PUT", file(a), {}, b"x"),
    ]
    return [
        (f"{number} {method} {path} {params}".replace(top, "top"), told(await ask(server, *each), top))
        for number, each in enumerate(asked)
        for method, path, params, _ in (each,)
    ]


async def workflows(server: Client) -> Answers:
    """The same below `workflows`, where files are workflows of ours."""
    top = f"conform-{uuid4().hex}"
    here = f"workflows/{top}"
    first, second = json.encode(DRAWN), json.encode(DRAWN | {"last_node_id": 3})
    asked: list[tuple[str, str, dict[str, str], bytes | None]] = [
        ("GET", "/userdata", {"dir": here}, None),
        ("POST", file(f"{here}/A.json"), {"overwrite": "false", "full_info": "true"}, first),
        ("POST", file(f"{here}/A.json"), {"overwrite": "false"}, second),
        ("POST", file(f"{here}/A.json"), {"overwrite": "true", "full_info": "true"}, second),
        ("GET", file(f"{here}/A.json"), {}, None),
        ("POST", file(f"{here}/Größe 猫.json"), {}, first),
        ("GET", "/userdata", {"dir": here, "recurse": "true", "split": "false", "full_info": "true"}, None),
        ("POST", moved(f"{here}/A.json", f"{here}/sub/B.json"), {"overwrite": "false"}, None),
        ("POST", moved(f"{here}/sub/B.json", f"{here}/Größe 猫.json"), {"overwrite": "false"}, None),
        ("GET", file(f"{here}/sub/B.json"), {}, None),
        ("GET", "/userdata", {"dir": here, "recurse": "true"}, None),
        ("GET", "/v2/userdata", {"path": here}, None),
        ("DELETE", file(f"{here}/sub/B.json"), {}, None),
        ("DELETE", file(f"{here}/Größe 猫.json"), {}, None),
        ("GET", file(f"{here}/A.json"), {}, None),
    ]
    return [
        (f"{number} {method} {path} {params}".replace(top, "top"), told(await ask(server, *each), top))
        for number, each in enumerate(asked)
        for method, path, params, _ in (each,)
    ]


async def settings(server: Client) -> Answers:
    name = f"Conform.{uuid4().hex}"
    asked: list[tuple[str, str, dict[str, str], bytes | None]] = [
        ("GET", f"/settings/{name}", {}, None),
        ("POST", f"/settings/{name}", {}, b'{"a": [1, 2.5, null]}'),
        ("GET", f"/settings/{name}", {}, None),
        ("POST", f"/settings/{name}", {}, b"null"),
        ("GET", f"/settings/{name}", {}, None),
        ("POST", "/settings", {}, json.encode({name: True})),
        ("GET", f"/settings/{name}", {}, None),
        ("POST", f"/settings/{name}", {}, b"{broken"),
    ]
    found = [
        (f"{number} {each[0]} {each[1]}".replace(name, "it"), told(await ask(server, *each), name))
        for number, each in enumerate(asked)
    ]
    everything = (await server.http.get("/settings")).json()
    return [*found, ("all", everything.get(name)), ("users", (await server.http.get("/users")).json())]


async def pictures(server: Client) -> Answers:
    """What is seen of temporary files and of uploads, in each way that editors ask for."""
    name = f"{uuid4().hex}.png"
    uploaded = (await server.upload(name, png(40, 30), subfolder="conform", type="input")).json()
    ended = await server.ended(
        await server.submit({"1": empty(255), "2": node("PreviewImage", images=["1", 0])})
    )
    (temp,) = ended.outputs["2"]["images"]
    found: Answers = [("temp", (sorted(temp), temp["type"], temp["subfolder"]))]
    for label, seen in (
        ("temp", temp),
        ("input", {"filename": uploaded["name"], **{k: uploaded[k] for k in ("subfolder", "type")}}),
    ):
        for more in (
            {},
            {"preview": "webp"},
            {"preview": "jpeg;50"},
            {"preview": "webp;90", "channel": "rgb"},
            {"channel": "rgb"},
            {"channel": "a"},
            {"channel": "rgba"},
            {"rand": "0.5"},
        ):
            answer = await server.http.get("/view", params=seen | more)
            found.append((f"{label} {more}", seen_as(answer, {seen["filename"]: "the file"})))
        part = await server.http.get("/view", params=seen, headers={"Range": "bytes=1-3"})
        head = await server.http.head("/view", params=seen)
        found += [
            (f"{label} part", (part.status_code, part.content.hex())),
            (f"{label} head", (head.status_code, len(head.content))),
        ]
        found.append(
            (
                f"{label} beyond",
                (
                    await server.http.get("/view", params=seen, headers={"Range": "bytes=99999999-"})
                ).status_code,
            )
        )
    for label, params in {
        "another type": temp | {"type": "output"},
        "annotated": {"filename": f"{temp['filename']} [temp]"},
        "in a folder that is dropped": temp | {"filename": f"any/where/{temp['filename']}"},
        "in another folder": temp | {"subfolder": "elsewhere"},
        "of no type": temp | {"type": "elsewhere"},
        "above": temp | {"subfolder": "../input"},
        "absolute": temp | {"subfolder": "/etc"},
    }.items():
        found.append((label, (await server.http.get("/view", params=params)).status_code))
    return found


async def uploads(server: Client) -> Answers:
    name, mark = f"{uuid4().hex}.png", uuid4().hex[:8]
    red, blue = png(color=(200, 0, 0)), png(color=(0, 0, 200))
    found: Answers = []
    for label, filename, body, form in (
        ("first", name, red, {}),
        ("the same", name, red, {"overwrite": "false"}),
        ("another", name, blue, {"overwrite": "True"}),
        ("a third", name, png(color=(0, 200, 0)), {}),
        ("over it", name, blue, {"overwrite": "1"}),
        ("below", name, red, {"subfolder": f"c{mark}/deep"}),
        ("below again", name, blue, {"subfolder": f"c{mark}/deep"}),
        ("with dots", name, red, {"subfolder": f"c{mark}/x/../deep"}),
        ("temp", name, red, {"type": "temp"}),
        ("input", name, red, {"type": "input"}),
        ("outside", name, red, {"subfolder": "../outside"}),
        ("absolute", name, red, {"subfolder": "/etc"}),
    ):
        answer = await server.upload(filename, body, **form)
        body_ = answer.json() if answer.is_success else None
        said = re.sub("[0-9a-f]{32}", "name", json.encode(body_).decode()).replace(mark, "")
        found.append((label, (answer.status_code, json.decode(said))))
    bare = await server.http.post("/upload/image", files={"other": ("x.png", red)})
    not_a_form = await server.http.post("/upload/image", json={})
    return [*found, ("another field", bare.status_code), ("no form", not_a_form.status_code)]


async def masks(server: Client) -> Answers:
    name, mask = f"{uuid4().hex}.png", f"{uuid4().hex}.png"
    await server.upload(name, png(32, 32))
    found: Answers = []
    for label, original in (
        ("fits", {"filename": name, "type": "input", "subfolder": ""}),
        ("of no file", {"filename": "nope.png", "type": "input"}),
    ):
        form = {"original_ref": json.encode(original).decode(), "type": "input", "subfolder": "clipspace"}
        answer = await server.http.post("/upload/mask", data=form, files={"image": (mask, png(32, 32))})
        text = re.sub("[0-9a-f]{32}", "name", answer.text)
        found.append((label, (answer.status_code, json.decode(text) if answer.is_success else None)))
    return found


async def pages_of_history(server: Client) -> Answers:
    """Of four prompts: the newest, from the oldest, without those that were deleted."""
    await server.post("/history", {"clear": True})
    prompts = [await server.submit(graph()) for _ in range(4)]
    for prompt in prompts:
        await server.ended(prompt)
    found: Answers = []

    async def listed(query: str) -> list[int]:
        answer = (await server.http.get(f"/history{query}")).json()
        return [prompts.index(each) for each in answer if each in prompts]

    for query in (
        "",
        "?max_items=2",
        "?max_items=2&offset=0",
        "?max_items=2&offset=1",
        "?offset=3",
        "?max_items=9",
        "?max_items=0",
        "?max_items=2&offset=-1",
        "?max_items=2&offset=9",
    ):
        found.append((query, await listed(query)))
    found.append(("no number", (await server.http.get("/history?max_items=abc")).status_code))
    await server.post("/history", {"delete": [prompts[1], "unknown"]})
    found.append(("without one", await listed("")))
    found.append(("that one", (await server.http.get(f"/history/{prompts[1]}")).json()))
    await server.post("/history", {"clear": True})
    found.append(("cleared", await listed("")))
    return found


async def order_of_the_queue(server: Client) -> Answers:
    """What is shown before what, by `number` and `front`; what waits is taken out in the end."""
    running = str(uuid4())
    wishes: dict[str, dict[str, Any]] = {
        "first": {},
        "second": {},
        "front": {"front": True},
        "before": {"number": -1000},
        "not front": {"front": False},
    }
    ids = {name: str(uuid4()) for name in wishes}
    async with server.listen(flags=FLAGS) as listener:
        await server.submit(await slow(server), prompt_id=running, client_id=listener.client_id)
        await until_executing(listener, running)
        await server.running(running)
        accepted = [
            (await server.post("/prompt", {"prompt": graph(), "prompt_id": ids[name]} | wish)).status_code
            for name, wish in wishes.items()
        ]
        names = {id: name for name, id in ids.items()}
        waits = sorted((each[0], each[1]) for each in (await server.queue())["queue_pending"])
        await server.post("/queue", {"delete": [ids["front"], "unknown"]})
        left = [each[1] for each in (await server.queue())["queue_pending"]]
        await server.post("/queue", {"delete": [*ids.values(), running]})
        still = [each[1] == running for each in (await server.queue())["queue_running"]]
        await server.post("/interrupt", {"prompt_id": running})
        await listener.until_over(running)
    return [
        ("accepted", accepted),
        ("order", [names[id] for _, id in waits if id in names]),
        ("left", sorted(names[id] for id in left if id in names)),
        ("what runs is not taken out", still),
        ("after", (await server.queue())),
    ]


async def broken_prompts(server: Client) -> Answers:
    """Bodies that hold no prompt, and wishes for outputs that are not there."""
    found: Answers = []
    bodies: dict[str, bytes] = {
        "no object": b"[]",
        "empty": b"{}",
        "no graph": b'{"prompt": {}}',
        "a list": b'{"prompt": []}',
        "nodes of nothing": b'{"prompt": {"1": {}}}',
        "a node without a class": b'{"prompt": {"1": {"inputs": {}}}}',
        "an unknown class": b'{"prompt": {"1": {"class_type": "NoSuchClass", "inputs": {}}}}',
        "no output": json.encode({"prompt": {"1": empty(1)}}),
        "a wish for no output": json.encode({"prompt": plain_graph(), "partial_execution_targets": ["1"]}),
        "a wish for an unknown one": json.encode(
            {"prompt": plain_graph(), "partial_execution_targets": ["77"]}
        ),
        "no JSON": b"{broken",
        "nothing": b"",
    }
    for label, body in bodies.items():
        answer = await server.http.post("/prompt", content=body, headers={"content-type": "application/json"})
        found.append((label, told(answer, why=True)))
    return found


async def freeing(server: Client) -> Answers:
    return [
        (str(body), told(await server.post("/free", body)))
        for body in ({}, {"unload_models": False}, {"free_memory": False, "unload_models": False})
    ]


async def metadata(server: Client) -> Answers:
    """Of models that are not there; a real one has none to look into."""
    paths = (
        "loras",
        "loras?filename=",
        "loras?filename=nope.safetensors",
        "nowhere?filename=x.safetensors",
        "loras?filename=../x.safetensors",
    )
    return [(path, (await server.http.get(f"/view_metadata/{path}")).status_code) for path in paths]


async def ask(
    server: Client, method: str, path: str, params: dict[str, str], body: bytes | None
) -> httpx.Response:
    return await server.http.request(
        method, path, params=params, content=body, headers={"content-type": "text/plain"}
    )


def file(path: str) -> str:
    return f"/userdata/{quote(path, safe='')}"


def moved(path: str, to: str) -> str:
    return f"{file(path)}/move/{quote(to, safe='')}"


def told(answer: httpx.Response, name: str = "", *, why: bool = False) -> Any:
    """Status, kind and content; of a refusal the status, unless it is asked `why`."""
    if not answer.is_success and not (why and answer.status_code < 500):
        return [answer.status_code]
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind == "application/json":
        said = json.decode(answer.text.replace(name, "top") if name else answer.text)
        return [answer.status_code, kind, in_order(timeless(said))]
    return [answer.status_code, kind, answer.text]


def timeless(said: Any) -> Any:
    if isinstance(said, dict):
        return {key: "a time" if key in TIMES else timeless(each) for key, each in said.items()}
    return [timeless(each) for each in said] if isinstance(said, list) else said


def in_order(said: Any) -> Any:
    """A folder's files come as the disk has them."""
    if isinstance(said, list) and all(isinstance(each, str) for each in said):
        return sorted(said)
    if isinstance(said, list) and all(isinstance(each, dict | list) for each in said):
        return sorted(said, key=lambda each: json.encode(each, order="deterministic"))
    return said


def seen_as(answer: httpx.Response, names: dict[str, str]) -> Any:
    said = {
        name: answer.headers[name]
        for name in ("content-type", "content-disposition")
        if name in answer.headers
    }
    for name, instead in names.items():
        said = {key: value.replace(name, instead) for key, value in said.items()}
    return [answer.status_code, said, answer.content[:3].hex() if answer.is_success else ""]


RECORDED: dict[str, Callable[[Client], Awaitable[Answers]]] = {
    each.__name__: each
    for each in (
        *(userdata, workflows, settings, pictures, uploads, masks, pages_of_history, order_of_the_queue),
        *(broken_prompts, freeing, metadata),
    )
}
