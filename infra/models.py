"""`comfyplus models ...`: for who has the server's own settings."""

import asyncio
import sys

from adapters.identity.secrets import ServerSecrets
from commands.audiences import Restriction
from domain.account import Role
from domain.audience import Audience
from domain.ids import models_id
from domain.model import MODELS, Model
from infra.asking import REFUSALS
from infra.printable import printable
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs


def restricted_to(roles: list[str] | None, accounts: list[str] | None) -> Restriction | None:
    """None: everybody. Exits where there is no such role."""
    if not roles and not accounts:
        return None
    known = [role.value for role in Role]
    if unknown := [role for role in roles or () if role not in known]:
        print(f"There is no role {printable(unknown[0])}: {', '.join(known)}.", file=sys.stderr)
        raise SystemExit(2)
    return Restriction(roles=tuple(Role(role) for role in roles or ()), accounts=tuple(accounts or ()))


def show(settings: Settings) -> int:
    """Returns the exit code: 0 shown, 1 not."""
    try:
        models = asyncio.run(_models(settings))
    except REFUSALS as error:
        print(f"The models cannot be listed: {error}", file=sys.stderr)
        return 1
    print(
        "\n".join(map(_line, models)) or "No model is registered. What live backends have is for everybody."
    )
    return 0


async def _models(settings: Settings) -> list[Model]:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
        state, _ = await wants.streams.load(MODELS, models_id())
        return sorted(state.known.values(), key=lambda each: (each.type, each.name))


def _line(model: Model) -> str:
    about = model.about
    told = [
        printable(f"{model.type}/{model.name}"),
        "" if about.active else "not active",
        printable(about.base_model),
        _for(about.audience),
    ]
    return f"{model.id} {', '.join(word for word in told if word)}"


def _for(audience: Audience | None) -> str:
    if audience is None:
        return "for everybody"
    return f"for {', '.join([*audience.roles, *map(str, audience.accounts)])}"
