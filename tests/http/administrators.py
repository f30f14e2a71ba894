"""Somebody who may administer the whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from commands.accounts import GiveRole
from commands.dispatcher import Dispatcher
from commands.streams import Context
from domain.account import Role
from domain.ids import Actor
from infra.wiring import needs
from tests.http.person import Person, joined
from tests.http.whole import Whole


@asynccontextmanager
async def administrator(served: Whole) -> AsyncIterator[Person]:
    async with joined(served) as person:
        await give(served, person, Role.ADMIN)
        yield person


async def give(served: Whole, person: Person, role: Role) -> None:
    """As `comfyplus admin` does it."""
    url = str(served.settings.app_database_url)
    async with needs(served.settings, served.secrets, url) as wants:
        context = Context(actor=Actor("operator"), correlation=uuid4())
        await Dispatcher(wants).run(GiveRole(username=person.name, role=role), context)
