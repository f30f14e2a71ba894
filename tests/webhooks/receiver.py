"""A real web server that webhooks are sent to. It remembers everything and answers as it is told."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from msgspec import Struct

PATIENCE_S = 60.0


class Got(Struct, frozen=True):
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def position(self) -> int:
        return int(self.id.rpartition("_")[2])


class Reply(Struct, frozen=True):
    status: int = 200
    body: bytes = b"thanks"
    headers: dict[str, str] = {}
    delay_s: float = 0.0


Answering: TypeAlias = Callable[[Got], Reply]


class Receiver:
    """`answer` may be exchanged at any time. `most_at_once`: for each path, the requests under way together."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[Got] = []
        self.taken: list[Got] = []
        self.answer: Answering = lambda got: Reply()
        self.most_at_once: defaultdict[str, int] = defaultdict(int)
        self._at_once: defaultdict[str, int] = defaultdict(int)
        self._changed = asyncio.Event()

    def at(self, path: str) -> list[Got]:
        return [got for got in self.got if got.path == path]

    def ids(self, path: str) -> list[str]:
        return [got.id for got in self.at(path)]

    async def until(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait until something received makes it true."""
        async with asyncio.timeout(patience_s):
            while not condition():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self._changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (got := await _read(reader)) is not None:
                self.got.append(got)
                self._at_once[got.path] += 1
                self.most_at_once[got.path] = max(self.most_at_once[got.path], self._at_once[got.path])
                self._changed.set()
                try:
                    reply = self.answer(got)
                    await asyncio.sleep(reply.delay_s)
                finally:
                    self._at_once[got.path] -= 1
                if 200 <= reply.status < 300:
                    self.taken.append(got)
                    self._changed.set()
                writer.write(_answer(reply))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()


async def _read(reader: asyncio.StreamReader) -> Got | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Got(first.split(" ")[1], headers, body)


def _answer(reply: Reply) -> bytes:
    headers = {"content-length": str(len(reply.body)), **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} Said\r\n{lines}\r\n".encode() + reply.body
