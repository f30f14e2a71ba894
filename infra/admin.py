"""`comfyplus admin ...`: what only somebody with the server's own settings may do."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from adapters.identity.secrets import ServerSecrets
from commands.accounts import GiveRole, RegisterAccount, named
from commands.dispatcher import Dispatcher
from commands.people import ChangeAccount
from commands.ports import LogUnavailableError, OutcomeUnknownError
from commands.streams import Context
from domain.account import Role
from domain.ids import Actor
from domain.refusals import DomainError, Invalid
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs, new_id

OPERATOR = Actor("operator")


def create(settings: Settings, username: str, email: str, password: str) -> int:
    """Somebody new who administers the whole. Returns the exit code."""

    async def make(dispatcher: Dispatcher, context: Context) -> None:
        wish = RegisterAccount(username=username, email=email, password=password, vouched=True)
        await dispatcher.run(wish, context)
        await dispatcher.run(GiveRole(username=username, role=Role.ADMIN), context)

    return _done(settings, make, f"{username} is {Role.ADMIN} now.", f"{username} is not made")


def suspend(settings: Settings, username: str, reason: str, *, suspended: bool) -> int:
    """Returns the exit code."""

    async def change(dispatcher: Dispatcher, context: Context) -> None:
        account = await named(username, dispatcher.needs)
        wish = ChangeAccount(account=account, by=None, reason=reason, suspended=suspended)
        await dispatcher.run(wish, context)

    state = "suspended" if suspended else "reinstated"
    return _done(settings, change, f"{username} is {state}.", f"{username} is not {state}")


def give_role(settings: Settings, username: str, role: Role) -> int:
    """Returns the exit code: 0 done, 1 not done."""

    async def give(dispatcher: Dispatcher, context: Context) -> None:
        await dispatcher.run(GiveRole(username=username, role=role), context)

    return _done(settings, give, f"{username} is {role} now.", f"{username} is not {role} now")


def _done(
    settings: Settings, work: Callable[[Dispatcher, Context], Awaitable[None]], said: str, failed: str
) -> int:
    async def run() -> None:
        url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
        async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
            await work(Dispatcher(wants), Context(actor=OPERATOR, correlation=new_id()))

    try:
        asyncio.run(run())
    except (DomainError, LogUnavailableError, OutcomeUnknownError) as error:
        faults = (
            [f"{each.field}: {each.reason}" for each in error.errors] if isinstance(error, Invalid) else []
        )
        print("\n".join([f"{failed}: {error}", *faults]), file=sys.stderr)
        return 1
    print(said)
    return 0
