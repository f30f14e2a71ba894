"""The models that one account may use: what backends have told of, and what administrators say of it."""

from collections.abc import AsyncIterator, Iterable

from msgspec import Struct

from commands.audiences import Asker
from commands.known_backends import Surroundings
from commands.needs import Needs
from domain.ids import AccountId
from domain.model import About, Model
from workflows.graph import Graph
from workflows.models import NamedModel, Restricted, meant, named_models, plain


class Offered(Struct, frozen=True):
    """`backends`: the live ones that have it. `about`: what administrators say of it; None: nothing.

    `base_model`: what it was made from, as they say, else as the file tells.
    """

    type: str
    name: str
    about: About | None
    backends: tuple[str, ...]
    base_model: str = ""


class Looked(Struct, frozen=True):
    """What a graph names that is not for this account. `restricted`: it names some that are not for everybody."""

    withheld: tuple[NamedModel, ...] = ()
    restricted: bool = False


async def look(nodes: Graph, by: AccountId, view: Surroundings, needs: Needs) -> Looked:
    if not view.restricted:
        return Looked()
    asker, withheld, restricted = Asker(by, needs), [], False
    for named in named_models(nodes, view.loaders):
        if models := meant(named, view.restricted):
            restricted = True
            if not await _may_use(models, asker):
                withheld.append(named)
    return Looked(tuple(withheld), restricted)


async def withheld(by: AccountId, view: Surroundings, needs: Needs) -> Restricted:
    """Of the models that not everybody may use those that are not for this account."""
    asker = Asker(by, needs)
    found = {}
    for name, models in view.restricted.items():
        if kept := tuple([each for each in models if not await _may_use((each,), asker)]):
            found[name] = kept
    return found


async def usable(folder: str, name: str, by: AccountId, view: Surroundings, needs: Needs) -> bool:
    return await _may_use(meant(NamedModel("", "", folder, name), view.restricted), Asker(by, needs))


async def offered(
    by: AccountId, needs: Needs, *, after: str = "", type: str | None = None
) -> AsyncIterator[Offered]:
    """In the order of `type/name`. What one's own backend has is one's own: nobody else decides about that."""
    view, asker = await needs.backends.now(), Asker(by, needs)
    told = _told(view, by)
    shared, own = _found(view, by), _found(view, by, own=True)
    said = {f"{each.type}/{plain(each.name)}": each.about for each in view.models.known.values()}
    registered = {f"{each.type}/{each.name}" for each in view.models.known.values()}
    for key in sorted(registered | shared.keys() | own.keys()):
        folder, _, name = key.partition("/")
        if key <= after or type not in (None, folder):
            continue
        if await _may_use(meant(NamedModel("", "", folder, name), view.restricted), asker):
            about = said.get(f"{folder}/{plain(name)}")
            backends = tuple(sorted({*shared.get(key, ()), *own.get(key, ())}))
            base_model = (about.base_model if about else "") or told.get(key, "")
            yield Offered(folder, name, about, backends, base_model)
        elif key in own:
            yield Offered(folder, name, None, tuple(own[key]), told.get(key, ""))


def _told(view: Surroundings, by: AccountId) -> dict[str, str]:
    """What files tell that they were made from."""
    return {
        name: family
        for each in view.backends
        if each.inventory is not None and each.state.live and each.serves(by)
        for name, family in each.inventory.base_models.items()
    }


def _found(view: Surroundings, by: AccountId, *, own: bool = False) -> dict[str, list[str]]:
    """Which live backends have told of each model: those that are shared, or the account's own."""
    found: dict[str, list[str]] = {}
    for each in view.backends:
        if each.inventory is not None and each.state.live and each.state.owner == (by if own else None):
            for folder, names in each.inventory.models.items():
                for name in names:
                    found.setdefault(f"{folder}/{name}", []).append(each.state.name)
    return found


async def _may_use(models: Iterable[Model], asker: Asker) -> bool:
    for model in models:
        if not model.about.active or not await asker.belongs_to(model.about.audience):
            return False
    return True
