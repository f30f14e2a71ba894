"""The composition root: which parts a process is made of. The one place that knows them all."""

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from adapters.identity.backend_box import BackendBox
from adapters.identity.factor_box import FactorBox
from adapters.identity.mail_box import MailBox
from adapters.identity.passwords import Argon2Passwords
from adapters.identity.secrets import ServerSecrets
from adapters.identity.vault import SecretVault
from adapters.identity.webhook_box import WebhookBox
from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.admissions import PostgresAdmissions
from adapters.postgres.api_keys import PostgresApiKeys
from adapters.postgres.attempts import PostgresAttempts
from adapters.postgres.avatars import PostgresAvatars
from adapters.postgres.backend_access import PostgresBackendAccess
from adapters.postgres.contents import PostgresContents
from adapters.postgres.factors import PostgresFactors
from adapters.postgres.log import PostgresLog
from adapters.postgres.mails import PostgresMails
from adapters.postgres.sign_ons import PostgresSignOns
from adapters.postgres.webhooks import PostgresWebhooks
from adapters.storage.erasures import ErasureFile
from commands.known_backends import KnownBackends
from commands.needs import Limits, Needs
from commands.streams import Streams
from domain.attempt import Retries
from domain.handling import Retention
from domain.limits import Allowance
from infra.settings import Settings, SettingsError, erasures_path, load_secret
from projections.catalogue import PROJECTIONS
from projections.keys import AccountKeys
from projections.projection import Projection, opened_by
from workflows.registry import SHIPPED, Registry, TemplatesError, load

if TYPE_CHECKING:
    from adapters.nats.connection import Connection

logger = logging.getLogger(__name__)

CANCEL_AGAIN_S = 1.0  # time enough to leave things in order


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> UUID:
    """Version 7: what is made at about the same time lies together in every index."""
    return uuid7()


def new_seed() -> int:
    """Below 2**53: what a browser reads without rounding."""
    return secrets.randbelow(2**53)


@asynccontextmanager
async def pool(url: str, *, size: int = 8, options: str = "") -> AsyncIterator[AsyncConnectionPool[Any]]:
    """Connections in autocommit mode, opened as they are needed; a broken one is thrown away."""
    kwargs: dict[str, Any] = {"autocommit": True, "connect_timeout": 5}
    if options:  # else those of the URL
        kwargs["options"] = options
    async with AsyncConnectionPool(
        url, min_size=1, max_size=size, open=False, kwargs=kwargs, timeout=5, max_idle=300, check=_there
    ) as opened:
        yield opened


async def _there(connection: AsyncConnection[Any]) -> None:
    """Whether the server has hung up meanwhile: its last words and the end behind them lie there, and cost no trip."""
    for _ in range(2):
        connection.pgconn.consume_input()


@asynccontextmanager
async def nats(name: str, url: str | None, **options: Any) -> AsyncIterator["Connection"]:
    from adapters.nats.connection import Connection  # what only asks Postgres goes without

    async with Connection(name) as connection:
        await connection.open(needed(url, "COMFYPLUS_NATS_URL"), **options)
        yield connection


@asynccontextmanager
async def needs(settings: Settings, server_secrets: ServerSecrets, url: str) -> AsyncIterator[Needs]:
    """What the commands need, on real parts, as the database role that the URL names."""
    async with (
        pool(url) as connections,
        PostgresLog(url, connections) as log,
        PostgresAdmissions(url, connections, allowance(settings)) as admissions,
    ):
        accounts, streams = PostgresAccounts(connections), Streams(log)
        contents = PostgresContents(connections)
        access = PostgresBackendAccess(connections, BackendBox(load_secret(settings)))
        yield Needs(
            streams=streams,
            contents=contents,
            accounts=accounts,
            avatars=PostgresAvatars(connections),
            api_keys=PostgresApiKeys(connections),
            passwords=Argon2Passwords(),
            attempts=PostgresAttempts(connections),
            factors=PostgresFactors(connections, FactorBox(load_secret(settings))),
            mails=PostgresMails(connections, MailBox(load_secret(settings))),
            sign_ons=PostgresSignOns(connections),
            secrets=server_secrets,
            vault=SecretVault(load_secret(settings), accounts.keys),
            admissions=admissions,
            erasures=ErasureFile(erasures_path(settings)),
            webhooks=PostgresWebhooks(connections, WebhookBox(load_secret(settings))),
            backend_access=access,
            backends=KnownBackends(streams, contents, access, now),
            now=now,
            new_id=new_id,
            new_seed=new_seed,
            limits=limits(settings),
            templates=templates(settings),
        )


@asynccontextmanager
async def read_models(settings: Settings) -> AsyncIterator[dict[str, Projection]]:
    """The read models as they can be built: with somebody who opens personal fields for them."""
    url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    async with AccountKeys(connect(url)) as accounts:
        yield opened_by(PROJECTIONS, SecretVault(load_secret(settings), accounts.keys).open)


def limits(settings: Settings) -> Limits:
    return Limits(
        graph_bytes=settings.max_graph_bytes,
        run_timeout_s=settings.run_timeout_s,
        access_token=timedelta(seconds=settings.access_token_s),
        refresh_token=timedelta(seconds=settings.refresh_token_s),
        wrong_attempts=settings.wrong_attempts,
        wrong_attempts_of_address=settings.wrong_attempts_of_address,
        registrations_of_address=settings.registrations_of_address,
        attempts_window=timedelta(seconds=settings.attempts_window_s),
        confirm_addresses=(
            settings.mail_url is not None
            if settings.confirm_addresses is None
            else settings.confirm_addresses
        ),
        mail_link=settings.mail_link or Limits().mail_link,
        retries=Retries(settings.retries, timedelta(seconds=settings.retry_pause_s)),
        private_addresses=settings.webhook_private_addresses,
        private_backends=settings.backend_private_addresses,
        retention=retention(settings),
    )


def templates(settings: Settings) -> Registry:
    """Read once in a process, however many parts of it need them. Raises SettingsError."""
    try:
        return _loaded(SHIPPED, *([] if settings.templates is None else [settings.templates]))
    except TemplatesError as error:
        raise SettingsError(str(error)) from error


_loaded = cache(load)


def allowance(settings: Settings) -> Allowance:
    """What an account may have that was given nothing else."""
    return Allowance(
        running=settings.running_limit or None,
        queued=settings.queued_limit or None,
        runs_per_day=settings.runs_per_day_limit or None,
        run_s_per_day=settings.run_s_per_day_limit or None,
    )


def retention(settings: Settings) -> Retention:
    """What goes by itself of accounts that chose nothing."""
    return Retention(days=settings.outputs_days or None, size_bytes=settings.outputs_bytes or None)


def connect(url: str) -> Callable[[], Awaitable[AsyncConnection[Any]]]:
    """Opens one more connection in autocommit mode each time it is called."""

    async def open_one() -> AsyncConnection[Any]:
        return await AsyncConnection.connect(url, autocommit=True, connect_timeout=5)

    return open_one


def needed(url: str | None, variable: str) -> str:
    if url is None:
        raise SettingsError(f"{variable} is not set. `comfyplus up` sets it for its own processes.")
    return url


async def until_told_to_stop(
    work: Callable[[], Awaitable[None]], connection: "Connection | None" = None
) -> None:
    """Run until SIGTERM or SIGINT cancels the work, or NATS refuses us for good."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    waits = [asyncio.ensure_future(work()), asyncio.create_task(told.wait())]
    if connection is not None:
        waits.append(asyncio.create_task(connection.closed.wait()))
    done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    await ended(pending)
    for task in done:
        task.result()


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run until cancelled, or until one of them fails; then all of them have ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await ended(tasks)


async def ended(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel them until they are over: in Python 3.11 asyncio.wait_for, by which psycopg waits, loses one at times."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
        left = {task for task in left if not task.done()}
