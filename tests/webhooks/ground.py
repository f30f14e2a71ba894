"""Commands on a real log, and the errand that sends what follows from them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from msgspec import Struct

from adapters.identity.secrets import ServerSecrets
from commands.dispatcher import Dispatcher
from commands.needs import Command
from commands.streams import Context
from commands.webhook_state import Delivery
from commands.webhooks import CreateWebhook, Secret
from commands.workflows import ChangeWorkflow, CreateWorkflow, Saved
from domain.ids import AccountId, Position, WorkflowId, account_actor
from infra.settings import Settings, load_secret
from infra.webhooks import webhooks
from infra.wiring import needs
from services.webhooks.judging import Schedule
from services.webhooks.sending import SenderSettings
from tests.servers import Database

SECRET = "a secret that only tests know, long enough"
GRAPH: dict[str, Any] = {"9": {"class_type": "SaveImage", "inputs": {}}}
QUICK = SenderSettings(
    attempt_s=1.0,
    lease_s=3.0,
    poll_s=0.05,
    schedule=Schedule(pauses_s=(0.05, 0.1, 0.2), patience=timedelta(hours=24)),
)
LAST = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))


def settings_of(database: Database, folder: Path) -> Settings:
    return Settings(
        data=folder,
        app_database_url=database.url_of("comfyplus_app"),
        secret=SECRET,
        webhook_private_addresses=True,
    )


class Person(Struct, frozen=True):
    """Somebody with a workflow that can be changed as often as events are needed."""

    id: AccountId
    workflow: WorkflowId


class Ground(Struct, frozen=True):
    settings: Settings
    database: Database
    dispatcher: Dispatcher

    async def wish(self, command: Command, by: AccountId) -> Any:
        return await self.dispatcher.run(command, Context(actor=account_actor(by), correlation=uuid4()))

    async def person(self) -> Person:
        id = AccountId(uuid4())
        saved: Saved = await self.wish(CreateWorkflow(owner=id, name="A", graph=GRAPH), id)
        return Person(id, saved.id)

    async def webhook(self, person: Person, url: str, **more: Any) -> Secret:
        made: Secret = await self.wish(CreateWebhook(owner=person.id, url=url, **more), person.id)
        return made

    async def change(self, person: Person, description: str, **more: Any) -> Position:
        """One public event, at the position given back."""
        wish = ChangeWorkflow(by=person.id, workflow=person.workflow, description=description, **more)
        accepted = await self.wish(wish, person.id)
        return Position(accepted.position)

    async def happen(self, person: Person, times: int, name: str = "") -> list[Position]:
        return [await self.change(person, f"{name} {number}") for number in range(times)]

    async def deliveries(self, webhook: UUID) -> list[Delivery]:
        """All of them, by position."""
        found = await self.dispatcher.needs.webhooks.deliveries(
            webhook, state=None, before=LAST, limit=100_000
        )
        return sorted(found, key=lambda each: each.position)

    async def until(self, webhook: UUID, *states: str, patience_s: float = 60) -> list[Delivery]:
        """Wait until its deliveries are in these states, by position."""
        async with asyncio.timeout(patience_s):
            while True:
                found = await self.deliveries(webhook)
                if [each.state for each in found] == list(states):
                    return found
                await asyncio.sleep(0.05)

    async def followed(self) -> None:
        """Wait until the log has been followed to its end."""
        async with asyncio.timeout(60):
            while await self.sql(
                "SELECT position FROM work.checkpoints WHERE name = 'webhooks'"
            ) != await self.sql("SELECT max(notification_id) FROM log.events"):
                await asyncio.sleep(0.05)

    async def sql(self, query: str, *values: Any) -> list[Any]:
        async with await psycopg.AsyncConnection.connect(self.database.url, autocommit=True) as connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def grounded(database: Database, folder: Path) -> AsyncIterator[Ground]:
    settings = settings_of(database, folder)
    url = database.url_of("comfyplus_app")
    async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
        yield Ground(settings, database, Dispatcher(wants))


@asynccontextmanager
async def sending(ground: Ground, settings: SenderSettings = QUICK) -> AsyncIterator[None]:
    async with sending_with(ground.settings, settings):
        yield


@asynccontextmanager
async def sending_with(settings: Settings, sender: SenderSettings) -> AsyncIterator[None]:
    task = asyncio.create_task(webhooks(settings, sender))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
