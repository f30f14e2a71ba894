"""ComfyUI's clients before the whole product: many at once, and one whose backend dies in the middle."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.whole.graphs import pictures, sampled, sleeping
from tests.whole.people import Graph, Person, joined, person
from tests.whole.whole import PATIENCE_S, Whole
from workflows.protocol.frames import Preview, decode_frame

CLIENTS = 10
PROMPTS = 3
STILL_S = 0.5
ONCE = {"execution_start", "execution_cached", "execution_success"}
NEVER = {"execution_error", "execution_interrupted"}


class Client:
    """One window: a socket, and prompts under its name."""

    def __init__(self, whoever: Person, socket: ClientConnection, sid: str) -> None:
        self.whoever = whoever
        self.socket = socket
        self.sid = sid
        self.heard: list[dict[str, Any]] = []
        self.previews: list[str] = []

    async def prompt(self, graph: Graph) -> str:
        asked = {"prompt": graph, "client_id": self.sid}
        answer = await self.whoever.http.post("/comfy/prompt", json=asked)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["prompt_id"])

    async def until(self, type: str, prompt: str) -> None:
        """All that is said up to that of a prompt."""
        while not any(each["type"] == type and of(each) == prompt and last(each) for each in self.heard):
            self.hear(await self.socket.recv())

    async def until_still(self) -> None:
        """All that comes although nothing is left to say."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STILL_S):
                while True:
                    self.hear(await self.socket.recv())

    def hear(self, message: str | bytes) -> None:
        """Of a preview, whose it is."""
        if isinstance(message, str):
            self.heard.append(json.loads(message))
        else:
            frame = decode_frame(message)
            assert isinstance(frame, Preview)
            assert frame.metadata is not None
            self.previews.append(frame.metadata.prompt_id)

    async def history(self, prompt: str) -> dict[str, Any]:
        answer = await self.whoever.http.get(f"/comfy/history/{prompt}")
        return dict(answer.json()[prompt])


def of(message: dict[str, Any]) -> str:
    return str(message["data"].get("prompt_id", ""))


def last(message: dict[str, Any]) -> bool:
    return message["type"] != "executing" or message["data"]["node"] is None


@asynccontextmanager
async def client(whole: Whole) -> AsyncIterator[Client]:
    async with person(whole.url, await joined(whole.url)) as whoever:
        url = whole.url.replace("http:", "ws:") + "/comfy/ws?clientId=window"  # the same name for all
        headers = {"Authorization": whoever.http.headers["Authorization"]}
        async with asyncio.timeout(PATIENCE_S), connect(url, additional_headers=headers) as socket:
            await socket.send('{"type":"feature_flags","data":{"supports_preview_metadata":true}}')
            yield Client(whoever, socket, "window")


async def test_clients_of_many_accounts_hear_of_their_own_prompts_in_order(whole: Whole) -> None:
    """All under one name, each listening until the last of them is done: what is whose is counted."""
    everybody = asyncio.Barrier(CLIENTS)

    async def one(number: int) -> tuple[set[str], Client]:
        async with client(whole) as window:
            await everybody.wait()
            graphs = [pictures(0.1), sampled(number, steps=500), pictures(0.1)]
            prompts = [await window.prompt(graph) for graph in graphs]
            for prompt in prompts:
                await window.until("executing", prompt)
                assert (await window.history(prompt))["status"]["status_str"] == "success"
            await everybody.wait()
            await window.until_still()
            return set(prompts), window

    told = await asyncio.gather(*map(one, range(CLIENTS)))
    assert len(set.union(*(own for own, _ in told))) == CLIENTS * PROMPTS
    assert any(window.previews for _, window in told)
    for own, window in told:
        heard = [each for each in window.heard if each["type"] != "feature_flags"]
        assert set(window.previews) <= own
        assert {of(each) for each in heard} - {""} == own
        for prompt in own:
            in_order([each for each in heard if of(each) == prompt])
        queue = [each["data"]["status"]["exec_info"]["queue_remaining"] for each in heard if not of(each)]
        assert 1 <= max(queue) <= PROMPTS
        assert queue[-1] == 0


async def test_a_backend_that_dies_is_not_noticed_by_the_client(whole: Whole) -> None:
    async with client(whole) as window:
        prompt = await window.prompt(
            sleeping(1.0) | {"9": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
        )
        await window.until("progress", prompt)
        whole.kill("sandbox")
        await window.until("executing", prompt)
        heard = [each for each in window.heard if of(each) == prompt]
        in_order(heard)
        shown = (await window.history(prompt))["outputs"]
        assert {each["data"]["node"] for each in heard if each["type"] == "executed"} == shown.keys()
        for file in (each for ui in shown.values() for each in ui.get("images", ())):
            seen = await window.whoever.http.get("/comfy/view", params=file)
            assert seen.headers["content-type"] == "image/png"


def in_order(heard: list[dict[str, Any]]) -> None:
    """Of one prompt that succeeded: once begun, once ended, nothing after the end, each node's picture once."""
    types = [each["type"] for each in heard]
    assert types[0] == "execution_start"
    assert all(types.count(each) == 1 for each in ONCE), types
    assert not NEVER & set(types)
    assert types[-2:] == ["execution_success", "executing"]
    assert heard[-1]["data"]["node"] is None
    shown = [each["data"]["node"] for each in heard if each["type"] == "executed"]
    assert len(shown) == len(set(shown))
    entered = [each["data"]["node"] for each in heard if each["type"] == "executing"]
    assert set(shown) <= set(entered)
