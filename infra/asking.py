"""A wish from the terminal, of whoever has the server's own settings."""

import asyncio
import sys

from adapters.identity.secrets import ServerSecrets
from commands.dispatcher import Dispatcher
from commands.needs import Command
from commands.ports import LogUnavailableError, OutcomeUnknownError
from commands.streams import Accepted, Context
from domain.refusals import DomainError, FieldError, Invalid
from infra.admin import OPERATOR
from infra.printable import printable
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs, new_id

REFUSALS = (DomainError, LogUnavailableError, OutcomeUnknownError)


def ask(settings: Settings, wish: Command, done: str) -> int:
    """Returns the exit code: 0 done, 1 not done."""
    try:
        accepted = asyncio.run(_ask(settings, wish))
    except REFUSALS as error:
        print(f"Not done: {printable(_said(error))}", file=sys.stderr)
        return 1
    print(done if accepted.position else "It was so already.")
    return 0


def _said(error: Exception) -> str:
    errors: tuple[FieldError, ...] = error.errors if isinstance(error, Invalid) else ()
    return " ".join([str(error), *(f"{each.field}: {each.reason}" for each in errors)])


async def _ask(settings: Settings, wish: Command) -> Accepted:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
        accepted: Accepted = await Dispatcher(wants).run(wish, Context(actor=OPERATOR, correlation=new_id()))
        return accepted
