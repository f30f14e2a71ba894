"""`comfyplus backends ...`: for who has the server's own settings."""

import asyncio
import sys

from adapters.identity.secrets import ServerSecrets
from commands.backends import Basic, Bearer, Credentials, Header
from commands.dispatcher import Dispatcher
from commands.needs import Command
from commands.ports import LogUnavailableError, OutcomeUnknownError
from commands.streams import Context
from domain.backend import BACKEND
from domain.ids import backend_id
from domain.refusals import DomainError, FieldError, Invalid
from infra.admin import OPERATOR
from infra.printable import printable
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs, new_id

REFUSALS = (DomainError, LogUnavailableError, OutcomeUnknownError)


def opened_by(text: str) -> Credentials | None:
    """Exits where nothing can be made of it; the text itself is not shown."""
    kind, _, rest = text.strip().partition(" ")
    name, _, value = rest.strip().partition(" ")
    user, colon, password = rest.strip().partition(":")
    if not text.strip():
        return None
    if kind == "basic" and colon:
        return Basic(user=user, password=password)
    if kind == "bearer" and name and not value:
        return Bearer(token=name)
    if kind == "header" and value:
        return Header(name=name, value=value.strip())
    print("Credentials are `basic USER:PASSWORD`, `bearer TOKEN` or `header NAME VALUE`.", file=sys.stderr)
    raise SystemExit(2)


def ask(settings: Settings, wish: Command, done: str) -> int:
    """Returns the exit code: 0 done, 1 not done."""
    try:
        asyncio.run(_ask(settings, wish))
    except REFUSALS as error:
        print(f"Not done: {_said(error)}", file=sys.stderr)
        return 1
    print(done)
    return 0


def show(settings: Settings) -> int:
    try:
        lines = asyncio.run(_lines(settings))
    except REFUSALS as error:
        print(f"The backends cannot be listed: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines) or "No backend is registered. The executors' own settings may name some.")
    return 0


def _said(error: Exception) -> str:
    errors: tuple[FieldError, ...] = error.errors if isinstance(error, Invalid) else ()
    return " ".join([str(error), *(f"{each.field}: {each.reason}" for each in errors)])


async def _ask(settings: Settings, wish: Command) -> None:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
        await Dispatcher(wants).run(wish, Context(actor=OPERATOR, correlation=new_id()))


async def _lines(settings: Settings) -> list[str]:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
        lines = []
        for name in await wants.backend_access.names():
            state, _ = await wants.streams.load(BACKEND, backend_id(name))
            if state.access is None:
                continue
            access = (await wants.backend_access.opened([state.access])).get(state.access)
            live = "live" if state.live else "not live"
            drained = ", drained" if state.draining else ""
            opened = f", opened by {access.header}" if access and access.header else ""
            driver = state.executor or "any executor"
            where = printable(access.url) if access else "nowhere"
            lines.append(f"{name}: {live}{drained}, pool {state.pool}, {driver}, {where}{opened}")
        return lines
