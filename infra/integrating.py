"""What integrators over NATS need of our processes: a publisher for their stream, and somebody at the door."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from adapters.identity.secrets import ServerSecrets
from adapters.nats.callout import NatsCallout
from adapters.nats.connection import Connection
from adapters.nats.connections import NatsConnections
from adapters.nats.consumers import NatsConsumers
from adapters.nats.events import NatsEventStream
from adapters.nats.public_events import PUBLIC, SETTINGS
from adapters.nats.server_config import DOMAIN, FEED_STREAM
from adapters.postgres.tail import PostgresTail
from commands.needs import Needs
from infra.nats_users import issuer
from infra.settings import Settings, load_secret
from infra.wiring import nats, needed, now
from services.integrators import Doorkeeper, granted
from services.ports.integrating import Integration
from services.relay import Relay, RelaySettings

logger = logging.getLogger(__name__)

PAUSE_S = 2.0  # before a NATS that refused us is tried again
LEADERSHIP = "public relay"
PUBLISHING = RelaySettings(
    gather_s=0.05, gather_from=1, batch=100
)  # translated between other errands: none of them waits long for it


async def publishing(settings: Settings) -> None:
    """The errand: public events of the log into the integrators' stream. Runs until it is cancelled."""
    url = settings.nats_feed_url
    if url is None:
        return
    database = needed(settings.relay_database_url, "COMFYPLUS_RELAY_DATABASE_URL")

    async def publish() -> None:
        async with nats("public relay", url) as connection, PostgresTail(database) as tail:
            stream = NatsEventStream(connection, SETTINGS, PUBLIC)
            await _while_open(Relay(tail, stream, PUBLISHING, LEADERSHIP).run(), connection)

    await _again_and_again("public relay", publish)


async def keeping(settings: Settings, needs: Needs, secrets: ServerSecrets) -> None:
    """Beside the API: let integrators in and out, make their consumers. Runs until it is cancelled."""
    auth_url, sys_url = settings.nats_auth_url, settings.nats_sys_url
    if auth_url is None or sys_url is None:
        return
    signing = issuer(load_secret(settings))

    async def keep() -> None:
        async with nats("callout", auth_url) as auth, nats("kicks", sys_url) as system:
            keeper = Doorkeeper(needs, secrets.handle)
            consumers = NatsConsumers(auth, keeper.asked)
            await NatsCallout(auth, signing, keeper.log_in, now, settings.nats_login_s).serve()
            await consumers.serve()
            await _while_open(keeper.watch(NatsConnections(system), consumers), auth, system)

    await _again_and_again("doorkeeper", keep)


def integration(settings: Settings, secrets: ServerSecrets) -> Integration | None:
    """What the API tells integrators; None where they are not let in."""
    if settings.nats_auth_url is None:
        return None
    return Integration(
        url=settings.nats_public_url or _bare(settings.nats_auth_url),
        stream=FEED_STREAM,
        domain=DOMAIN,
        grant=lambda key: granted(key, secrets.handle),
    )


async def _while_open(work: Awaitable[None], *connections: Connection) -> None:
    """Ends when a connection will never work again."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(work)]
    tasks += [asyncio.ensure_future(connection.closed.wait()) for connection in connections]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


async def _again_and_again(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
            logger.warning("nats refused us, trying again", extra={"part": name})
        except Exception:  # the outermost loop: nothing is lost by beginning again
            logger.exception("a part failed, trying again", extra={"part": name})
        await asyncio.sleep(PAUSE_S)


def _bare(url: str) -> str:
    """Without the name and password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
