"""`comfyplus api`: the HTTP door."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import jwt  # noqa: F401  # what checks access tokens is loaded before the first comes
import psycopg
import uvicorn
from litestar import Litestar
from msgspec.structs import replace

from adapters.http.app import routes, with_parts
from adapters.http.parts import Parts, Unwell
from adapters.http.protocol import PatientProtocol
from adapters.http.reads import Reads
from adapters.http.socket_protocol import PatientSocketProtocol
from adapters.identity.secrets import ServerSecrets
from adapters.imaging.inputs import PillowPictures
from adapters.imaging.renditions import PillowRenditions
from adapters.nats.confidant import NatsConfidant
from adapters.nats.connection import Connection
from adapters.nats.live import NatsLive
from adapters.nats.trials import NatsTrials
from adapters.postgres.exports import PostgresExports
from adapters.postgres.public_log import PostgresPublicLog
from adapters.postgres.queue_view import PostgresQueueView
from adapters.postgres.renditions import PostgresRenditions
from adapters.postgres.tail import PostgresTail
from commands.dispatcher import Dispatcher
from commands.ports import Objects
from domain.ids import Digest
from domain.prices import read_prices
from infra import auditing, objects
from infra.editor import editor_folder
from infra.integrating import integration, keeping
from infra.loras import uploading
from infra.settings import Settings, load_secret
from infra.sign_on import provider
from infra.wiring import connect, nats, needed, needs, new_id, now, pool, templates
from projections.consistency import Positions
from projections.reading import Reader
from services.auditing import Shown
from services.ended import EndedSessions
from services.rendering import Rendering

BODY_SLACK_BYTES = 1024 * 1024  # one graph of the largest size and its form fit into a request, two do not
WISH_BYTES = 16 * 1024  # what is said over a WebSocket is short
GRACE_S = 3  # for requests under way when the process is told to stop

NO_OBJECT = Digest("0" * 64)  # looked up to see whether the store answers

Check: TypeAlias = Callable[[], Awaitable[str]]

_READ_MODELS = "SELECT name, position, parked_reason FROM work.projections WHERE state = 'live' ORDER BY name"


def load(settings: Settings) -> Litestar:
    """The routes: made while the servers are not there yet, as the templates are read."""
    templates(settings)
    return routes(_body_bytes(settings))


async def run(settings: Settings, made: Litestar) -> None:
    async with opened(settings) as parts:
        await server(with_parts(made, parts), settings).serve()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Parts]:
    """Everything the handlers need, on the real parts."""
    app_url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    query_url = needed(settings.query_database_url, "COMFYPLUS_QUERY_DATABASE_URL")
    secrets = ServerSecrets(load_secret(settings))
    positions = Positions(connect(query_url))
    public_url = settings.public_url or f"http://{settings.host}:{settings.port}"
    async with (
        _pictures() as pictures,
        _renderer() as renderer,
        nats("api", settings.nats_url) as connection,
        pool(query_url) as queries,
        pool(app_url, size=2) as exporting,
        PostgresTail(app_url) as tail,
        needs(settings, secrets, app_url) as wants,
        _beside(positions.run()),
        _ending(tail, settings) as ended,
        auditing.shown(settings, app_url) as audit,
        pool(app_url, size=4) as work,
        pool(app_url, size=4) as public,
        pool(app_url, size=4) as looking,
        _beside(keeping(settings, wants, secrets)),
        objects.stores(settings) as stored,
        provider(settings) as identities,
    ):
        live = NatsLive(connection, secrets.holds)
        await live.open()
        dispatcher = Dispatcher(replace(wants, provider=identities))
        trials = NatsTrials(connection)
        await trials.open()
        yield Parts(
            commands=dispatcher,
            log=wants.streams.log,
            reads=Reads(Reader(queries, public_url), positions),
            signatures=secrets,
            ended=ended,
            objects=stored.objects,
            exports=PostgresExports(exporting),
            archives=stored.archives,
            pictures=pictures,
            renditions=Rendering(stored.objects, PostgresRenditions(work), renderer, now),
            uploading=uploading(settings, dispatcher, work, stored.loras),
            live=live,
            trials=trials,
            confidant=NatsConfidant(connection),
            queue=PostgresQueueView(looking),
            audit=audit,
            work=work,
            told=PostgresPublicLog(public),
            own=tail,
            integration=integration(settings, secrets),
            now=now,
            new_id=new_id,
            checks=_checks(connection, tail, query_url, audit, stored.objects),
            prices=read_prices(settings.prices),
            editor=editor_folder(settings),
            public_url=public_url,
            max_body_bytes=_body_bytes(settings),
            max_object_bytes=settings.max_object_bytes,
        )


def server(app: Any, settings: Settings) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=PatientProtocol,
            ws=PatientSocketProtocol,
            ws_max_size=WISH_BYTES,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def _body_bytes(settings: Settings) -> int:
    return settings.max_graph_bytes + BODY_SLACK_BYTES


@asynccontextmanager
async def _ending(tail: PostgresTail, settings: Settings) -> AsyncIterator[EndedSessions]:
    ended = EndedSessions(tail, now, timedelta(seconds=settings.access_token_s))
    await ended.begin()
    async with _beside(ended.run()):
        yield ended


@asynccontextmanager
async def _pictures() -> AsyncIterator[PillowPictures]:
    with contextlib.closing(PillowPictures()) as pictures:
        yield pictures


@asynccontextmanager
async def _renderer() -> AsyncIterator[PillowRenditions]:
    with contextlib.closing(PillowRenditions()) as renderer:
        yield renderer


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _checks(
    connection: Connection, tail: PostgresTail, query_url: str, audit: Shown, stored: Objects
) -> Mapping[str, Check]:
    async def log() -> str:
        return f"at position {await tail.head()}"

    async def nats_connected() -> str:
        if not connection.connected:
            raise ConnectionError("not connected")
        return "connected"

    async def read_models() -> str:
        head = await tail.head()
        async with await psycopg.AsyncConnection.connect(query_url, connect_timeout=2) as opened:
            rows = await (await opened.execute(_READ_MODELS)).fetchall()
        parked = [name for name, _, reason in rows if reason is not None]
        if parked:
            raise RuntimeError(f"parked: {', '.join(parked)}")
        return ", ".join(f"{name} {head - position} behind" for name, position, _ in rows)

    async def chain() -> str:
        findings = await audit.findings()
        for finding in findings.values():
            if finding.fault is not None:
                raise Unwell(f"The log is not what was sealed: {finding.fault}")
        told = findings.get("tail")
        return (
            f"sound up to position {told.link.position} at {told.at:%FT%TZ}" if told else "not looked at yet"
        )

    async def files() -> str:
        await stored.size(NO_OBJECT)
        return "answering"

    return {
        "log": log,
        "nats": nats_connected,
        "read models": read_models,
        "audit": chain,
        "object store": files,
    }
