"""The node classes that one account may use, over all backends that serve it."""

import asyncio
from collections.abc import Sequence

import msgspec

from commands.gate import modules
from commands.known_backends import Known, Surroundings, believed
from commands.known_models import withheld
from commands.needs import Needs
from domain.ids import AccountId, shelf_id
from domain.lora import SHELF, graph_path
from workflows.class_catalogue import Catalogue, Told, merged
from workflows.gate import let_through
from workflows.offers import Offer


async def catalogue(account: AccountId, view: Surroundings, needs: Needs) -> Catalogue:
    """Those that are let through. While no backend is alive, what they told before they went.

    Raises LogUnavailableError.
    """
    told = telling(account, view)
    rules = msgspec.json.encode(view.rules)
    inventories = tuple(each.state.inventory.digest for each in told if each.state.inventory is not None)
    owned = tuple(each.state.owner is not None for each in told)
    key = (inventories, owned, rules, frozenset(view.restricted))
    if (known := needs.backends.catalogue(key)) is not None:
        return known
    documents = [
        Told(await needs.backends.descriptions(each), each.inventory.models)
        for each in told
        if each.inventory is not None
    ]
    made = await asyncio.to_thread(_merged, documents, told, view)
    needs.backends.keep(key, made)
    return made


def telling(account: AccountId, view: Surroundings) -> list[Known]:
    """The backends that count for an account, whoever is believed first."""
    known = [each for each in believed(view.backends) if each.inventory is not None and each.serves(account)]
    return [each for each in known if each.state.live] or known


async def offer(account: AccountId, view: Surroundings, needs: Needs) -> Offer:
    """Without what others share, and without its uploaded files. Raises LogUnavailableError."""
    told = telling(account, view)
    takes = any(each.inventory is not None and each.inventory.takes_loras for each in told)
    shelf = (await needs.streams.load(SHELF, shelf_id(account)))[0].loras if takes else ()
    own = [each.inventory for each in told if each.inventory is not None and each.state.owner == account]
    return Offer(
        withheld=await withheld(account, view, needs),
        own=frozenset(name for each in own for names in each.models.values() for name in names),
        takes_loras=takes,
        loras=tuple(sorted(each.name for each in shelf)),
        shared_loras=tuple(graph_path(account, each.file) for each in shelf),
    )


def _merged(documents: Sequence[Told], told: Sequence[Known], view: Surroundings) -> Catalogue:
    shared = modules(told)

    def wanted(name: str, module: str) -> bool:
        return let_through(name, shared.get(name, module), view.rules)

    return merged(documents, wanted, view.restricted.keys())
