"""`python -m bench.load`: a light HTTP/1.1 load generator in a process of its own, the same for both sides.

It sends one fixed request over a number of kept connections, each time as soon as the answer before is there
(closed loop), and prints a `Load` as JSON. It reads of an answer only its status and its length.
"""

import asyncio
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop
from msgspec import Struct

from bench.figures import percentile


class Job(Struct, frozen=True):
    """What to do: `request` goes to `host`:`port` over each of the connections for so many seconds."""

    host: str
    port: int
    request: bytes
    connections: int
    seconds: float
    unique_key: bool = False
    """Each request gets an Idempotency-Key of its own, in place of KEY."""


KEY = b"0000000000000000"


class Load(Struct, frozen=True):
    """What came of it. `refused`: answers that were not 2xx."""

    answers: int
    refused: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        return (self.answers - self.refused) / self.seconds


def post(url: str, token: str, body: bytes, *, key: bool = False) -> bytes:
    """A POST as bytes."""
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if key:
        lines.append(f"Idempotency-Key: {KEY.decode()}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def get(url: str, token: str) -> bytes:
    """A GET as bytes."""
    parts = urlsplit(url)
    lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Authorization: Bearer {token}", "", ""]
    return "\r\n".join(lines).encode()


def load(url: str, request: bytes, *, connections: int, seconds: float, unique_key: bool = False) -> Load:
    """Run a generator beside us and wait for what it found."""
    parts = urlsplit(url)
    job = Job(parts.hostname or "", parts.port or 80, request, connections, seconds, unique_key)
    done = subprocess.run(
        (sys.executable, "-m", "bench.load"),
        input=msgspec.msgpack.encode(job),
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + 60,
    )
    return msgspec.json.decode(done.stdout, type=Load)


class _Client(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, job: Job, until: float, took: list[float], refused: list[int], number: int) -> None:
        self._job, self._until, self._took, self._refused = job, until, took, refused
        self._number = number
        self._count = 0
        self._got = b""
        self._sent_at = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's is no asyncio.Transport, though it does the same
        self._send()

    def data_received(self, data: bytes) -> None:
        self._got = self._got + data if self._got else data
        head = self._got.find(b"\r\n\r\n")
        if head < 0 or len(self._got) < head + 4 + _length(self._got[:head]):
            return
        now = time.perf_counter()
        self._took.append(now - self._sent_at)
        if self._got[9:10] != b"2":
            self._refused.append(int(self._got[9:12]))
        self._got = b""
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        request = self._job.request
        if self._job.unique_key:
            self._count += 1
            request = request.replace(KEY, b"%04d%012d" % (self._number, self._count), 1)
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def _length(head: bytes) -> int:
    start = head.lower().find(b"content-length: ")
    if start < 0:
        raise ValueError("The answer does not say how long it is.")
    return int(head[start + 16 :].split(b"\r\n", 1)[0])


async def _run(job: Job) -> Load:
    loop = asyncio.get_running_loop()
    took: list[float] = []
    refused: list[int] = []
    begun = time.perf_counter()
    clients: list[_Client] = []
    for number in range(job.connections):
        _, client = await loop.create_connection(
            lambda number=number: _Client(job, begun + job.seconds, took, refused, number),  # type: ignore[misc]
            job.host,
            job.port,
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    seconds = time.perf_counter() - begun
    return Load(len(took), len(refused), seconds, percentile(took, 0.5) * 1000, percentile(took, 0.99) * 1000)


if __name__ == "__main__":
    wanted = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(wanted))))
