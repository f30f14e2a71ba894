"""A nats-server that lets integrators in, with everything of ours beside it, and integrators with plain clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from adapters.identity.secrets import ServerSecrets
from adapters.nats.callout import NatsCallout
from adapters.nats.connection import connect
from adapters.nats.connections import NatsConnections
from adapters.nats.consumers import NatsConsumers
from adapters.nats.events import NatsEventStream
from adapters.nats.nkey import Issuer
from adapters.nats.public_events import PUBLIC, SETTINGS
from adapters.nats.server_config import AUTH_USER, FEED_USER, SYS_USER, Integrators
from commands.accounts import GiveRole, RegisterAccount
from commands.api_keys import KeyHolder, MadeApiKey, MakeApiKey
from domain.account import Role
from domain.api_key import Scope
from domain.ids import AccountId
from infra.embedded.child import start, wait_until_ready
from infra.embedded.nats import prepare_nats
from services.integrators import Doorkeeper, granted
from services.ports.integrating import Grant
from services.relay import Relay, RelaySettings
from tests.commands.ground import Ground, make_ground
from tests.nats.logs import ListLog

PASSWORD = "only-for-tests"
SOON = RelaySettings(batch=100, poll_s=0.05, first_pause_s=0.01, longest_pause_s=0.1)


class House:
    """Accounts and keys in memory, a real server, a log that is relayed."""

    def __init__(self, folder: Path, lifetime_s: float = 3600) -> None:
        self.ground: Ground = make_ground(datetime.now(UTC))  # the server goes by the real time
        self.needs = self.ground.dispatcher.needs
        assert isinstance(self.needs.secrets, ServerSecrets)
        self.secrets: ServerSecrets = self.needs.secrets
        self.issuer = Issuer(bytes(range(32)))
        self.log = ListLog()
        self.lifetime_s = lifetime_s
        users = Integrators(
            feed_password=PASSWORD,
            auth_password=PASSWORD,
            sys_password=PASSWORD,
            issuer=self.issuer.public,
        )
        prepared = prepare_nats(
            folder,
            folder / "nats.log",
            app_password=PASSWORD,
            executors={"gpu-1": PASSWORD},
            integrators=users,
        )
        self.url, self.child = prepared.url, prepared.child
        self.process = start(self.child)
        wait_until_ready((self.child, self.process))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = start(self.child)
        wait_until_ready((self.child, self.process))

    @asynccontextmanager
    async def open(self) -> AsyncIterator["House"]:
        def ours(user: str) -> Any:
            return connect(self.url, name=user, user=user, password=PASSWORD)

        async with (
            await ours(AUTH_USER) as auth,
            await ours(SYS_USER) as system,
            await ours(FEED_USER) as feed,
        ):
            self.feed = feed
            keeper = Doorkeeper(self.needs, self.secrets.handle)
            consumers = NatsConsumers(auth, keeper.asked)
            await NatsCallout(auth, self.issuer, keeper.log_in, self.ground.now, self.lifetime_s).serve()
            await consumers.serve()
            relay = Relay(self.log, NatsEventStream(feed, SETTINGS, PUBLIC), SOON)
            tasks = [
                asyncio.create_task(relay.run()),
                asyncio.create_task(keeper.watch(NatsConnections(system), consumers)),
            ]
            try:
                while not await self._stands():
                    await asyncio.sleep(0.02)
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def _stands(self) -> bool:
        """Whether the stream is there."""
        try:
            await self.stored()
        except NotFoundError:
            return False
        return True

    async def account(self, role: Role = Role.MEMBER) -> AccountId:
        name = f"p{uuid4().hex[:10]}"
        wish = RegisterAccount(username=name, email=f"{name}@example.org", password="correct horse")
        registered = await self.ground.wish(wish)
        if role != Role.MEMBER:
            await self.ground.wish(GiveRole(username=name, role=role))
        return AccountId(registered.id)

    async def key(self, account: AccountId, *scopes: Scope, lasting: timedelta | None = None) -> "Integrator":
        expires = None if lasting is None else self.ground.now() + lasting
        wish = MakeApiKey(by=account, name="tests", scopes=scopes or (Scope.EVENTS,), expires_at=expires)
        made: MadeApiKey = await self.ground.wish(wish, actor=str(account))
        return Integrator(self, made)

    async def stored(self) -> Any:
        return (await self.feed.client.jetstream().stream_info("EVENTS")).state


class Integrator:
    """A key, and connections opened with it by the stock client."""

    def __init__(self, house: House, made: MadeApiKey) -> None:
        self.house, self.made, self.grant = house, made, granted_to(house, made)

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator["Session"]:
        session = Session()
        given: dict[str, Any] = {
            "token": self.made.text,
            "inbox_prefix": self.grant.inbox,
            "connect_timeout": 20,
        } | options
        client = session.client = Client()
        try:
            await client.connect(
                self.house.url,
                allow_reconnect=False,
                error_cb=session.failed,
                closed_cb=session.ended,
                **given,
            )
            yield session
        finally:
            await client.close()


class Session:
    client: Client

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.closed = asyncio.Event()

    async def failed(self, error: Exception) -> None:
        self.errors.append(str(error))

    async def ended(self) -> None:
        self.closed.set()


def granted_to(house: House, made: MadeApiKey) -> Grant:
    grant = granted(KeyHolder(made.row.key, made.row.account, made.row.scopes), house.secrets.handle)
    assert grant is not None
    return grant
