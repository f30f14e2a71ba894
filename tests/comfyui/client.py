"""A plain client of ComfyUI's protocol: what it says and hears, without interpretation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import websockets
from msgspec import json

from workflows.protocol.frames import Frame, decode_frame
from workflows.protocol.history import HistoryEntry, decode_history

Graph = dict[str, Any]
PATIENCE_S = 60.0


def empty(color: int, width: int = 64, height: int = 64, batch: int = 1) -> dict[str, Any]:
    return node("EmptyImage", width=width, height=height, batch_size=batch, color=color)


def node(class_type: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def colour() -> int:
    """Unlike any other, so that nothing is cached."""
    return uuid4().int % 16777216


def plain_graph(prefix: str = "contract", color: int | None = None) -> Graph:
    return {
        "1": empty(colour() if color is None else color),
        "2": node(
            "ImageScale", image=["1", 0], upscale_method="bilinear", width=32, height=32, crop="disabled"
        ),
        "3": node("SaveImage", images=["2", 0], filename_prefix=prefix),
    }


class Listener:
    """One WebSocket and all it has heard: messages as they came, frames decoded."""

    def __init__(self, socket: websockets.ClientConnection, client_id: str) -> None:
        self.socket = socket
        self.client_id = client_id
        self.heard: list[dict[str, Any]] = []
        self.frames: list[Frame] = []
        self.order: list[str] = []

    async def hear(self) -> dict[str, Any] | None:
        """The next text message, or None for a frame."""
        async with asyncio.timeout(PATIENCE_S):
            received = await self.socket.recv()
        if isinstance(received, bytes):
            self.frames.append(decode_frame(received))
            self.order.append("frame")
            return None
        message: dict[str, Any] = json.decode(received)
        self.heard.append(message)
        self.order.append(message["type"])
        return message

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            message = await self.hear()
            if message is not None and wanted(message):
                return message

    async def until_over(self, prompt_id: str) -> list[dict[str, Any]]:
        """Listen to the end of a prompt. Returns what was said of it, in order."""
        await self.until(
            lambda message: (
                message["type"] == "executing"
                and message["data"].get("prompt_id") == prompt_id
                and message["data"]["node"] is None
            )
        )
        return self.about(prompt_id)

    def about(self, prompt_id: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["data"].get("prompt_id") == prompt_id]


def types(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


class Client:
    """HTTP and WebSockets of one server."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http

    @asynccontextmanager
    async def listen(
        self, client_id: str | None = None, flags: dict[str, Any] | None = None
    ) -> AsyncIterator[Listener]:
        sid = client_id or f"contract-{uuid4().hex}"
        address = self.url.replace("http", "ws", 1) + f"/ws?clientId={sid}"
        async with websockets.connect(address, max_size=None, close_timeout=1) as socket:
            listener = Listener(socket, sid)
            await listener.until(lambda message: message["type"] == "status" and "sid" in message["data"])
            if flags is not None:
                await socket.send(json.encode({"type": "feature_flags", "data": flags}).decode())
                await listener.until(lambda message: message["type"] == "feature_flags")
            yield listener

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.http.post(path, json=body) if body is not None else await self.http.post(path)

    async def submit(self, graph: Graph, **fields: Any) -> str:
        answer = await self.post("/prompt", {"prompt": graph} | fields)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["prompt_id"])

    async def run(
        self, listener: Listener, graph: Graph, **fields: Any
    ) -> tuple[HistoryEntry, list[dict[str, Any]]]:
        """Queue a graph, listen to its end. Returns its history entry and what was said of it."""
        prompt_id = await self.submit(graph, client_id=listener.client_id, **fields)
        said = await listener.until_over(prompt_id)
        return (await self.history(prompt_id))[prompt_id], said

    async def history(self, prompt_id: str) -> dict[str, HistoryEntry]:
        answer = await self.http.get(f"/history/{prompt_id}")
        assert answer.status_code == 200
        return decode_history(answer.content)

    async def ended(self, prompt_id: str) -> HistoryEntry:
        """Wait for a history entry."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await self.history(prompt_id)):
                await asyncio.sleep(0.02)
        return found[prompt_id]

    async def running(self, prompt_id: str) -> None:
        """Wait until a prompt runs."""
        async with asyncio.timeout(PATIENCE_S):
            while prompt_id not in [entry[1] for entry in (await self.queue())["queue_running"]]:
                await asyncio.sleep(0.005)

    async def queue(self) -> dict[str, Any]:
        return dict((await self.http.get("/queue")).json())

    async def upload(self, name: str, body: bytes, **form: str) -> httpx.Response:
        return await self.http.post("/upload/image", data=form, files={"image": (name, body)})


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, verify=False, trust_env=False) as http:
        yield Client(url, http)
