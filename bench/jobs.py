"""`python -m bench.jobs`: sends jobs, a number of them under way at once, in a process of its own; prints `Done`.

A light HTTP/1.1 client for both sides. To the wrapper a job is one request, answered with the picture. To the
product it is a run: submitted, then followed over its server-sent events until it is over; with `fetch`, the run is
then asked for and its picture fetched, as a person's page would.
"""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import msgspec
import uvloop
from msgspec import Struct

from bench.figures import percentile
from bench.people import square


class Task(Struct, frozen=True):
    """For so many seconds new jobs are begun. Without workflows `url` is the wrapper's."""

    url: str
    at_once: int
    seconds: float
    token: str = ""
    workflows: tuple[str, ...] = ()
    fetch: bool = False


class Done(Struct, frozen=True):
    jobs: int
    seconds: float
    p50_ms: float

    @property
    def rate(self) -> float:
        return self.jobs / self.seconds


def work(task: Task) -> Done:
    """Run a client beside us and wait for what it did."""
    argv = (sys.executable, "-m", "bench.jobs")
    done = subprocess.run(
        argv, input=msgspec.json.encode(task), stdout=subprocess.PIPE, check=True, timeout=task.seconds + 120
    )
    return msgspec.json.decode(done.stdout, type=Done)


class Line:
    """One kept connection."""

    def __init__(self, url: str, token: str) -> None:
        self._parts = urlsplit(url)
        self._token = token

    async def open(self) -> "Line":
        self._reader, self._writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        return self

    def close(self) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
        """The body of the answer. Raises RuntimeError when it is not a 2xx."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._parts.netloc}", f"Content-Length: {len(body)}"]
        if self._token:
            lines.append(f"Authorization: Bearer {self._token}")
        if body:
            lines.append("Content-Type: application/json")
        self._writer.write("\r\n".join([*lines, *headers, "", ""]).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        answer = await self._body(head)
        if head[9:10] != b"2":
            raise RuntimeError(f"{method} {path}: {head[9:12].decode()} {answer[:300]!r}")
        return answer

    async def _body(self, head: bytes) -> bytes:
        if b"content-length: " in head:
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return await self._reader.readexactly(length)
        body = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
        return body


async def _wrapped(line: Line, colour: int) -> None:
    picture = await line.ask("POST", "/jobs", msgspec.json.encode(square(colour)))
    if not picture.startswith(b"\x89PNG"):
        raise RuntimeError("The wrapper answered without a picture.")


async def _run(line: Line, workflow: str, fetch: bool) -> None:
    accepted = msgspec.json.decode(await line.ask("POST", f"/api/v1/workflows/{workflow}/runs", b"{}"))
    happened = await line.ask("GET", f"/api/v1/runs/{accepted['id']}/live")
    if b'"status":"succeeded"' not in happened:
        raise RuntimeError(f"The run has not succeeded: {happened[-500:]!r}")
    if not fetch:
        return
    last = happened.rpartition(b"id: ")[2].split(b"\n", 1)[0].strip().decode()
    path = f"/api/v1/runs/{accepted['id']}"
    run = msgspec.json.decode(await line.ask("GET", path, b"", f"Consistent-With: {last}"))
    (output,) = run["outputs"]
    parts = urlsplit(output["url"])
    picture = await line.ask("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
    if not picture.startswith(b"\x89PNG"):
        raise RuntimeError("The run's output is no picture.")


async def _work(task: Task) -> Done:
    took: list[float] = []
    numbers = itertools.count(1)
    begun = time.perf_counter()

    def job(number: int) -> Callable[[Line], Awaitable[None]]:
        if task.workflows:
            workflow = task.workflows[number % len(task.workflows)]
            return lambda line: _run(line, workflow, task.fetch)
        return lambda line: _wrapped(line, (int(time.time() * 1000) * 1000 + number) % 0xFFFFFF)

    async def one_after_the_other() -> None:
        line = await Line(task.url, task.token).open()
        while (before := time.perf_counter()) - begun < task.seconds:
            await job(next(numbers))(line)
            took.append(time.perf_counter() - before)
        line.close()

    await asyncio.gather(*(one_after_the_other() for _ in range(task.at_once)))
    return Done(len(took), time.perf_counter() - begun, percentile(took, 0.5) * 1000)


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_work(asked))))
