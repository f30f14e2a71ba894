"""`comfyplus backends ...`: for who has the server's own settings."""

import asyncio
import sys

from adapters.identity.secrets import ServerSecrets
from commands.credentials import Basic, Bearer, Credentials, Header
from domain.backend import BACKEND, Kind
from domain.ids import backend_id
from infra.asking import REFUSALS
from infra.printable import printable
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs


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


def kind_named(word: str) -> Kind:
    """Exits where there is no such kind."""
    try:
        return Kind(word)
    except ValueError:
        print(f"A backend is of kind {' or '.join(Kind)}.", file=sys.stderr)
        raise SystemExit(2) from None


def show(settings: Settings) -> int:
    try:
        lines = asyncio.run(_lines(settings))
    except REFUSALS as error:
        print(f"The backends cannot be listed: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines) or "No backend is registered. The executors' own settings may name some.")
    return 0


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
            lines.append(
                f"{name}: {state.kind}, {live}{drained}, pool {state.pool}, {driver}, {where}{opened}"
            )
        return lines
