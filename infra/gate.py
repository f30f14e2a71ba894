"""`comfyplus gate`: the rules as they are."""

import asyncio
import sys

from adapters.identity.secrets import ServerSecrets
from domain.gate import GATE, GATE_ID, GateRules
from infra.asking import REFUSALS
from infra.printable import printable
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs
from workflows.gate import OWN_MODULES, RISKY


def show(settings: Settings) -> int:
    """Returns the exit code: 0 shown, 1 not."""
    try:
        rules = asyncio.run(_rules(settings))
    except REFUSALS as error:
        print(f"The rules cannot be read: {error}", file=sys.stderr)
        return 1
    print("\n".join(_lines(rules)))
    return 0


def _lines(rules: GateRules) -> list[str]:
    return [
        f"let through: nodes of {', '.join(OWN_MODULES)}",
        f"but only if allowed by name: {_named(sorted(RISKY - set(rules.allowed)))}",
        f"allowed: {_named(rules.allowed)}",
        f"denied: {_named(rules.denied)}",
        f"nodes of a graph: {rules.nodes:,}",
        f"side of a picture: {rules.side:,} pixels",
        f"pictures of one node: {rules.pixels:,} pixels together",
        f"batch: {rules.batch:,}",
    ]


def _named(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(printable(name) for name in names) or "none"


async def _rules(settings: Settings) -> GateRules:
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with needs(settings, ServerSecrets(load_secret(settings)), url) as wants:
        state, _ = await wants.streams.load(GATE, GATE_ID)
        return state.rules
