"""A real whole in this process: the API on a port, and what moves its read models and its queue beside it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import psycopg
import uvloop
from argon2 import PasswordHasher
from litestar import Litestar
from litestar.datastructures import State
from msgspec import Struct
from msgspec.structs import replace

from adapters.http.app import routes, with_parts
from adapters.http.door import Door
from adapters.http.parts import Parts
from adapters.http.protocol import PatientProtocol
from adapters.identity.passwords import Argon2Passwords
from adapters.identity.secrets import ServerSecrets
from adapters.nats.confidant import NatsConfidant
from adapters.nats.dispatching import NatsDispatchServer
from adapters.nats.events import NatsEventStream
from adapters.nats.feed import NatsFeed
from adapters.postgres.backend_table import PostgresBackendTable
from adapters.postgres.queue import PostgresQueue
from adapters.postgres.tail import PostgresTail
from commands.dispatcher import Dispatcher
from domain.event import AnyRecorded
from domain.ids import Position
from infra.embedded.ports import free_port
from infra.integrating import publishing
from infra.nats_users import urls
from infra.processes import api
from infra.settings import Settings, load_secret
from infra.wiring import allowance, connect, ended, nats, needed, needs, now, pool, read_models
from projections.catalogue import PROJECTIONS
from projections.runner import Runner
from services.dispatch.answering import Answering, Leases
from services.dispatch.folding import Folding
from services.dispatch.roll import Roll
from services.dispatch.rousing import Rousing
from services.dispatch.service import dispatch
from services.dispatch.sweeping import Sweeping
from services.relay import Relay
from tests.http.head import Head
from tests.servers import SECRET, Database, NatsServer

START_S = 30.0
LIVE = "SELECT count(*) FROM work.projections WHERE state = 'live'"


Change: TypeAlias = Callable[[Parts], AbstractAsyncContextManager[Parts]]
"""Other parts than the usual ones."""


@asynccontextmanager
async def unchanged(parts: Parts) -> AsyncIterator[Parts]:
    yield parts


class Whole(Struct, frozen=True):
    """`settings.public_url` answers."""

    settings: Settings
    database: Database
    nats: NatsServer
    head: Head

    @property
    def url(self) -> str:
        return str(self.settings.public_url)

    @property
    def secrets(self) -> ServerSecrets:
        """What the server's own tokens are made with, to make others of."""
        return ServerSecrets(load_secret(self.settings))


def settings_for(database: Database, server: NatsServer, folder: Path, **changes: Any) -> Settings:
    port = free_port()
    settings = Settings(
        data=folder,
        app_database_url=database.url_of("comfyplus_app"),
        project_database_url=database.url_of("comfyplus_project"),
        query_database_url=database.url_of("comfyplus_query"),
        dispatch_database_url=database.url_of("comfyplus_dispatch"),
        relay_database_url=database.url_of("comfyplus_relay"),
        nats_url=server.url,
        **urls(server.url, SECRET.encode()),
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        secret=SECRET,
        max_object_bytes=1024 * 1024,
        wrong_attempts_of_address=0,  # all tests have the same
        registrations_of_address=0,
        retry_pause_s=0.1,
    )
    return replace(settings, **changes)


@contextmanager
def whole(database: Database, server: NatsServer, folder: Path, **changes: Any) -> Iterator[Whole]:
    settings = settings_for(database, server, folder, **changes)
    with beside(lambda: _everything(settings)):
        until_answered(settings)
        until_shown(database)
        with Head.of(database) as head:
            yield Whole(settings, database, server, head)


@contextmanager
def another_api(
    whole: Whole, change: Change = unchanged, protocol: type[PatientProtocol] = PatientProtocol
) -> Iterator[Whole]:
    """One more API process's worth of parts over the same servers, with a cache of its own."""
    port = free_port()
    settings = replace(whole.settings, port=port, public_url=f"http://127.0.0.1:{port}")
    with beside(lambda: _serving(settings, change, protocol)):
        until_answered(settings)
        yield replace(whole, settings=settings)


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[None]:
    """Hold an asynchronous context open in a thread with a loop of its own."""
    opened, stop = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    async def hold() -> None:
        async with work():
            opened.set()
            await asyncio.to_thread(stop.wait)

    def run() -> None:
        try:
            uvloop.run(hold())
        except BaseException as error:
            failures.append(error)
        finally:
            opened.set()

    thread = threading.Thread(target=run, name="whole", daemon=True)
    thread.start()
    try:
        assert opened.wait(START_S), "the whole does not start"
        if failures:
            raise failures[0]
        yield
    finally:
        stop.set()
        thread.join(START_S)
    if failures:
        raise failures[0]


def until_answered(settings: Settings) -> None:
    transport = httpx.HTTPTransport(retries=8, verify=False, trust_env=False)
    with httpx.Client(base_url=str(settings.public_url), timeout=START_S, transport=transport) as http:
        assert http.get("/health").status_code == 200


def until_shown(database: Database) -> None:
    """Every read model has its views; before that, readers are asked to come again."""
    deadline = time.monotonic() + START_S
    with psycopg.connect(database.url, autocommit=True) as connection:
        while connection.execute(LIVE).fetchall() != [(len(PROJECTIONS),)]:
            assert time.monotonic() < deadline, "read models are missing"
            time.sleep(0.01)


async def show(database: Database) -> None:
    """Make every read model, as a whole does in a new database."""
    connecting = connect(database.url_of("comfyplus_project"))
    runner = asyncio.create_task(Runner(tuple(PROJECTIONS.values()), connecting, _Silence()).run())
    try:
        await asyncio.to_thread(until_shown, database)
    finally:
        runner.cancel()
        await asyncio.wait([runner])


class _Silence:
    """A feed in which nothing comes."""

    async def next(self, after: Position, timeout_s: float) -> list[AnyRecorded]:
        await asyncio.sleep(timeout_s)
        return []


def hasty(parts: Parts) -> Parts:
    """The same with passwords that are hashed in a millisecond: tests register hundreds of people."""
    passwords = Argon2Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    return replace(parts, commands=Dispatcher(replace(parts.commands.needs, passwords=passwords)))


@asynccontextmanager
async def _everything(settings: Settings) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_serving(settings))
        relaying = await stack.enter_async_context(nats("relay", settings.nats_url))
        relay_tail = await _tail(stack, settings.relay_database_url)
        await _start(stack, Relay(relay_tail, NatsEventStream(relaying)).run())
        feeding = await stack.enter_async_context(nats("project", settings.nats_url))
        project_url = needed(settings.project_database_url, "project")
        models = await stack.enter_async_context(read_models(settings))
        runner = Runner(tuple(models.values()), connect(project_url), NatsFeed(feeding))
        await _start(stack, runner.run())
        await _start(stack, await _dispatching(stack, settings))
        await _start(stack, publishing(settings))
        yield


async def _dispatching(stack: AsyncExitStack, settings: Settings) -> Coroutine[Any, Any, None]:
    url = needed(settings.dispatch_database_url, "dispatch")
    secrets, lease = ServerSecrets(load_secret(settings)), timedelta(seconds=settings.lease_s)
    connection = await stack.enter_async_context(nats("dispatch", settings.nats_url))
    connections = await stack.enter_async_context(pool(url))
    tail = await _tail(stack, url)
    wants = await stack.enter_async_context(needs(settings, secrets, url))
    queue, server, dispatcher = (
        PostgresQueue(connections, running=allowance(settings).running, lease_s=settings.lease_s),
        NatsDispatchServer(connection),
        Dispatcher(wants),
    )
    rousing = Rousing(queue, server)
    folding = Folding(tail, queue, server, wants.streams)
    roll = Roll(queue, PostgresBackendTable(connections), dispatcher)
    answering = Answering(
        queue,
        folding,
        roll,
        dispatcher,
        wants.contents,
        secrets,
        now,
        NatsConfidant(connection),
        rousing,
        Leases(lease),
    )
    sweeping = Sweeping(queue, dispatcher, server, now, every_s=settings.sweep_s, lease=lease)
    return dispatch(server, folding, answering, sweeping, rousing)


@asynccontextmanager
async def _serving(
    settings: Settings, change: Change = unchanged, protocol: type[PatientProtocol] = PatientProtocol
) -> AsyncIterator[None]:
    async with api.opened(settings) as opened, change(hasty(opened)) as parts:
        server = api.server(_application(parts), settings)
        server.config.http = protocol
        serving = asyncio.create_task(server.serve())
        try:
            yield
        finally:
            server.should_exit = True
            await serving


_ROUTES: dict[int, Litestar] = {}
"""By the size that a body may have."""


def _application(parts: Parts) -> Door:
    """As `create_app` makes it; its routes, which take half a second, are put together once for all wholes."""
    if (size := parts.max_body_bytes) not in _ROUTES:
        _ROUTES[size] = routes(size)
    made = copy(_ROUTES[size])
    made.state = State()
    return with_parts(made, parts)


async def _tail(stack: AsyncExitStack, url: str | None) -> PostgresTail:
    return await stack.enter_async_context(PostgresTail(needed(url, "a database")))


async def _start(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)

    stack.push_async_callback(ended, {task})
