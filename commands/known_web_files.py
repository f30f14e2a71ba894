"""What custom nodes of the shared backends bring for the editor."""

from commands.known_backends import Known, Surroundings, believed
from commands.needs import Needs
from workflows.gate import let_through
from workflows.web_files import WebFile, pack_of


async def web_files(view: Surroundings, needs: Needs) -> dict[str, WebFile]:
    """By path. Of a pack that has nodes some must be let through; where backends differ, the first is believed.

    Not of accounts' own backends: nobody decides here what those are. Raises LogUnavailableError.
    """
    told = [each for each in believed(view.backends) if each.state.owner is None]
    found: dict[str, WebFile] = {}
    for each in [each for each in told if each.state.live] or told:
        for path, file in (await needs.backends.web_files(each)).items():
            if path not in found and _is_wanted(pack_of(path), each, view):
                found[path] = file
    return found


def _is_wanted(pack: str, known: Known, view: Surroundings) -> bool:
    nodes = known.inventory.node_classes.items() if known.inventory is not None else ()
    own = [(name, module) for name, module in nodes if _is_of(pack, module)]
    return not own or any(let_through(name, module, view.rules) for name, module in own)


def _is_of(pack: str, module: str) -> bool:
    return module.startswith("custom_nodes.") and module.split(".")[1].casefold() == pack.casefold()
