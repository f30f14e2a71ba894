"""`comfyplus admin ...`: what only somebody with the server's own settings may do."""

import asyncio
import sys

from adapters.identity.secrets import ServerSecrets
from commands.accounts import GiveRole
from commands.dispatcher import Dispatcher
from commands.ports import LogUnavailableError, OutcomeUnknownError
from commands.streams import Context
from domain.account import Role
from domain.ids import Actor
from domain.refusals import DomainError
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs, new_id

OPERATOR = Actor("operator")


def give_role(settings: Settings, username: str, role: Role) -> int:
    """Returns the exit code: 0 done, 1 not done."""
    try:
        asyncio.run(_give_role(settings, username, role))
    except (DomainError, LogUnavailableError, OutcomeUnknownError) as error:
        print(f"{username} is not {role} now: {error}", file=sys.stderr)
        return 1
    print(f"{username} is {role} now.")
    return 0


async def _give_role(settings: Settings, username: str, role: Role) -> None:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
        context = Context(actor=OPERATOR, correlation=new_id())
        await Dispatcher(wants).run(GiveRole(username=username, role=role), context)
