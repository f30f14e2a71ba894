"""What a client hears over its socket, on whatever server: each scenario returns all that was said, in order."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from tests.comfyui.client import PATIENCE_S, Client, Graph, Listener, node, plain_graph
from tests.comfyui.conftest import slow_on_comfyui, slow_on_sandbox
from tests.gateway.conformance.comparing import Answers, plain

FLAGS = {"supports_preview_metadata": True}


async def broken(server: Client) -> Graph:
    """A graph whose first node fails, another one each time."""
    mark = uuid4().hex
    if await knows(server, "SandboxFail"):
        return {"1": node("SandboxFail", message=mark)}
    return {
        "1": node("RegexReplace", string=mark, regex_pattern="(", replace="b"),
        "2": node("PreviewAny", source=["1", 0]),
    }


async def slow(server: Client) -> Graph:
    """One that takes its time."""
    return slow_on_sandbox() if await knows(server, "SandboxSleep") else slow_on_comfyui()


async def knows(server: Client, node_class: str) -> bool:
    return bool((await server.http.get(f"/object_info/{node_class}")).json())


async def a_run(server: Client) -> Answers:
    async with server.listen(flags=FLAGS) as listener:
        return [("said", await heard(server, listener, graph()))]


async def the_same_again(server: Client) -> Answers:
    """Behind the gateway what is saved is saved again: each run keeps files of its own."""
    again = graph()
    async with server.listen(flags=FLAGS) as listener:
        await heard(server, listener, again)
        said = await heard(server, listener, again)
    (cached,) = (data["nodes"] for kind, data in said if kind == "execution_cached")
    shown = [data for kind, data in said if kind == "executed"]
    return [("cached", sorted(set(cached) - {"3"})), ("shown", shown), ("end", said[-2:])]


async def a_part_again(server: Client) -> Answers:
    """Only what comes after the change is executed."""
    first = graph()
    other = {**first, "2": node("ImageScale", **first["2"]["inputs"] | {"width": 16})}
    async with server.listen(flags=FLAGS) as listener:
        await heard(server, listener, first)
        return [("said", await heard(server, listener, other))]


async def two_outputs(server: Client) -> Answers:
    both = graph() | {"4": node("PreviewImage", images=["1", 0])}
    async with server.listen(flags=FLAGS) as listener:
        said = await heard(server, listener, both)
    return [
        ("shown", sorted(data["node"] for kind, data in said if kind == "executed")),
        ("types", sorted(kind for kind, _ in said)),
    ]


async def a_failure(server: Client) -> Answers:
    """The gateway tells the reason in plain words, and nothing of the machine."""
    async with server.listen(flags=FLAGS) as listener:
        failing = await broken(server)
        said = await heard(server, listener, failing)
    (error,) = (data for kind, data in said if kind == "execution_error")
    return [
        ("kinds", [kind for kind, _ in said]),
        ("fields", sorted(error)),
        ("where", (error["node_id"], error["node_type"] == failing["1"]["class_type"], error["executed"])),
    ]


async def an_interruption(server: Client) -> Answers:
    prompt, wanted = str(uuid4()), await slow(server)
    async with server.listen(flags=FLAGS) as listener:
        await server.submit(wanted, prompt_id=prompt, client_id=listener.client_id)
        await until_executing(listener, prompt)
        await server.running(prompt)
        await server.post("/interrupt", {"prompt_id": prompt})
        heard = await listener.until_over(prompt)
        kinds = [message["type"] for message in heard]
    async with asyncio.timeout(PATIENCE_S):
        while not (last := await last_message(server, prompt))[1]["node_id"]:
            await asyncio.sleep(0.02)  # how far it had come, its executor tells a moment later
    entry = (await server.http.get(f"/history/{prompt}")).json()[prompt]
    where = heard[-2]["data"]["node_id"]
    return [
        ("beginning", kinds[:2]),
        ("end", kinds[-2:]),
        ("said", (sorted(heard[-2]["data"]), heard[-2]["data"]["node_type"] == wanted[where]["class_type"])),
        ("status", (entry["status"]["status_str"], entry["status"]["completed"])),
        (
            "told",
            (last[0], sorted(last[1]), last[1]["node_type"] == wanted[last[1]["node_id"]]["class_type"]),
        ),
        ("executed", last[1]["node_id"] in last[1]["executed"]),
        ("queue", await server.queue()),
    ]


async def last_message(server: Client, prompt: str) -> tuple[str, dict[str, Any]]:
    """Of the history."""
    entry = (await server.http.get(f"/history/{prompt}")).json()[prompt]
    kind, data = entry["status"]["messages"][-1]
    return kind, data


async def one_taken_out_of_the_queue(server: Client) -> Answers:
    running, waiting = str(uuid4()), str(uuid4())
    async with server.listen(flags=FLAGS) as listener:
        await server.submit(await slow(server), prompt_id=running, client_id=listener.client_id)
        await until_executing(listener, running)
        await server.running(running)
        await server.submit(graph(), prompt_id=waiting, client_id=listener.client_id)
        queue = await server.queue()
        length = (await server.http.get("/prompt")).json()
        await server.post("/queue", {"delete": [waiting]})
        left = await server.queue()
        await server.post("/interrupt")
        await listener.until_over(running)
        told = listener.about(waiting)
    history = (await server.http.get(f"/history/{waiting}")).json()
    return [
        (
            "waiting",
            [(type(each[0]).__name__, each[1] == waiting, each[4]) for each in queue["queue_pending"]],
        ),
        ("running", [each[1] == running for each in queue["queue_running"]]),
        ("length", length),
        ("left", (len(left["queue_running"]), left["queue_pending"])),
        ("told", told),
        ("history", history),
    ]


async def somebody_who_comes_back(server: Client) -> Answers:
    """The same client hears the rest of what it began, and where it is."""
    prompt, sid = str(uuid4()), uuid4().hex
    async with server.listen(sid) as listener:
        await server.submit(await slow(server), prompt_id=prompt, client_id=sid)
        await until_executing(listener, prompt)
    async with server.listen(sid) as again:
        first = await again.until(lambda message: message["type"] == "executing")
        await server.post("/interrupt", {"prompt_id": prompt})
        await again.until_over(prompt)
        kinds = [message["type"] for message in again.heard]
    return [("first", kinds[0]), ("where", sorted(first["data"])), ("end", kinds[-1])]


def graph() -> Graph:
    return plain_graph("conform", color=int(uuid4().hex[:6], 16))


async def until_executing(listener: Listener, prompt: str) -> None:
    await listener.until(
        lambda message: (
            message["type"] == "executing"
            and message["data"].get("prompt_id") == prompt
            and message["data"]["node"] is not None
        )
    )


async def heard(server: Client, listener: Listener, wanted: Graph) -> list[tuple[str, Any]]:
    """Everything about one prompt, from its submission to its end; at the end it stands in the history."""
    prompt = str(uuid4())
    await server.submit(wanted, prompt_id=prompt, client_id=listener.client_id)
    said = await listener.until_over(prompt)
    entry = (await server.http.get(f"/history/{prompt}")).json()[prompt]
    files = [file["filename"] for output in entry["outputs"].values() for file in output.get("images", [])]
    names = {prompt: "the prompt"} | {name: f"file {number}" for number, name in enumerate(files)}
    told = [(message["type"], plain(message["data"], names)) for message in said]
    for kind, data in told:
        if kind == "execution_cached":
            data["nodes"].sort()
    return told


SEQUENCES: dict[str, Callable[[Client], Awaitable[Answers]]] = {
    each.__name__: each
    for each in (
        *(a_run, the_same_again, a_part_again, two_outputs, a_failure, an_interruption),
        *(one_taken_out_of_the_queue, somebody_who_comes_back),
    )
}
