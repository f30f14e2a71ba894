"""A server that can be killed, connections that are closed, and waiting for a condition."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.nats.connection import Connection, connect
from adapters.nats.server_config import APP_USER, executor_inbox
from infra.embedded.child import start, stop, wait_until_ready
from infra.embedded.nats import prepare_nats

PASSWORD = "only-for-tests"
EXECUTORS = ("gpu-1", "gpu-2")


class Server:
    """A nats-server of the test's own, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._store = folder / "nats" / "store"
        prepared = prepare_nats(
            folder,
            folder / "nats.log",
            app_password=PASSWORD,
            executors=dict.fromkeys(EXECUTORS, PASSWORD),
        )
        self.url = prepared.url
        self._child = prepared.child
        self._process = start(self._child)
        wait_until_ready((self._child, self._process))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        self._process = start(self._child)
        wait_until_ready((self._child, self._process))

    def leave_half_made(self, stream: str) -> None:
        """What a kill in the middle of making a stream leaves behind."""
        folder = self._store / "jetstream" / "APP" / "streams" / stream
        (folder / "msgs").mkdir(parents=True)
        (folder / "obs").mkdir()
        (folder / "meta.inf.tmp").write_text("{")

    def lose_everything(self) -> None:
        shutil.rmtree(self._store)

    def stop(self) -> None:
        stop(self._child, self._process)


Open = Callable[..., Awaitable[Connection]]
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.stop()


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[Connection]:
    """As the trusted user of APP."""
    async with await connect(server.url, name="test", user=APP_USER, password=PASSWORD) as opened:
        yield opened


@pytest.fixture
async def open_app(server: Server) -> AsyncIterator[Open]:
    """Further connections of APP's user."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(name: str = "test") -> Connection:
            opening = await connect(server.url, name=name, user=APP_USER, password=PASSWORD)
            return await stack.enter_async_context(opening)

        yield open_one


@pytest.fixture
async def open_executor(server: Server) -> AsyncIterator[Open]:
    """Connections of executors, each with its own permissions."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(executor: str) -> Connection:
            opening = await connect(
                server.url,
                name=executor,
                user=executor,
                password=PASSWORD,
                inbox_prefix=executor_inbox(executor),
            )
            return await stack.enter_async_context(opening)

        yield open_one


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a question is answered with yes."""

    async def wait(question: Callable[[], Awaitable[bool]], within_s: float = 15) -> None:
        async with asyncio.timeout(within_s):
            while not await question():
                await asyncio.sleep(0.01)

    return wait


@contextlib.asynccontextmanager
async def working(*jobs: Any) -> AsyncIterator[None]:
    """Run coroutines beside a test, cancelled at its end."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
