"""Which pool a run waits in: the one that is asked for, else the one its account was given, else everybody's."""

from commands.audiences import Asker
from commands.known_backends import Surroundings
from commands.needs import Needs
from domain.backend import OWN, own_name
from domain.ids import AccountId
from domain.queue import PoolSettings
from domain.refusals import FieldError, Invalid
from domain.run import SHARED

NO_POOL = "There is no pool of this name that you may use."
UNKNOWN_POOL = "There is no pool of this name: no backend is in it, and it was given no settings."


async def chosen(pool: str | None, by: AccountId, needs: Needs) -> str:
    """Raises Invalid: there is none, or it is for others."""
    view = await needs.backends.now()
    given = view.queue.assigned.get(by)
    name = pool or given or SHARED
    if name == given:
        return name
    audience = view.queue.pools.get(name, PoolSettings()).audience
    if not _is_there(name, by, view) or not await Asker(by, needs).belongs_to(audience):
        raise Invalid(NO_POOL, FieldError("pool", NO_POOL))
    return name


async def known(pool: str, needs: Needs) -> bool:
    """Whether there is one of this name, whosever it is: the shared one, one with settings, or one with a backend."""
    view = await needs.backends.now()
    return (
        pool == SHARED
        or pool in view.queue.pools
        or any(each.state.pool == pool for each in view.backends)
        or any(each.state.owner is not None and own_name(each.state.owner) == pool for each in view.backends)
    )


def _is_there(name: str, by: AccountId, view: Surroundings) -> bool:
    if name.startswith(OWN):
        return name == own_name(by) and any(each.state.owner == by for each in view.backends)
    if name == SHARED or name in view.queue.pools:
        return True
    return any(each.state.pool == name and each.serves(by) for each in view.backends)
