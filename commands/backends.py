"""Backends: registered and removed by administrators, an account's own, and what is seen of them."""

from functools import partial
from uuid import UUID

from commands.backend_access import Access
from commands.credentials import Credentials, accessed
from commands.kinds import changed, reached
from commands.needs import Command, Needs
from commands.streams import NOTHING, Accepted, Change, Context
from domain import backend
from domain.backend import (
    BACKEND,
    NO_BACKEND,
    Backend,
    BackendEvent,
    BackendInventoried,
    BackendRegistered,
    BackendSeen,
    Kind,
    own_name,
)
from domain.ids import AccountId, backend_id
from domain.refusals import NotFound
from domain.run import SHARED


class SeeBackend(Command, frozen=True, kw_only=True):
    """`access`: of the order by which it is driven; None: by its executor's own settings."""

    sight: BackendSeen
    access: UUID | None = None


class LoseBackend(Command, frozen=True, kw_only=True):
    name: str
    reason: str


class TakeStock(Command, frozen=True, kw_only=True):
    stock: BackendInventoried


class RegisterBackend(Command, frozen=True, kw_only=True):
    """`url`: where it is; of a provider: another than its own. `endpoint`: of a provider.

    Whether the one who asks may do so is known by the caller; so in the wishes below.
    """

    name: str
    kind: Kind = Kind.COMFYUI
    url: str = ""
    endpoint: str = ""
    credentials: Credentials | None = None
    pool: str = SHARED
    owner: AccountId | None = None
    executor: str = ""
    slots: int = 0
    reason: str = ""


class ChangeBackend(Command, frozen=True, kw_only=True):
    """None: as it was. `open`: without credentials from now on."""

    name: str
    url: str | None = None
    endpoint: str | None = None
    credentials: Credentials | None = None
    open: bool = False
    pool: str | None = None
    executor: str | None = None
    slots: int | None = None
    reason: str = ""


class DrainBackend(Command, frozen=True, kw_only=True):
    name: str
    reason: str


class ResumeBackend(Command, frozen=True, kw_only=True):
    name: str
    reason: str


class RemoveBackend(Command, frozen=True, kw_only=True):
    name: str
    reason: str


class SetOwnBackend(Command, frozen=True, kw_only=True):
    """An account's own: in place of the one before."""

    by: AccountId
    url: str
    credentials: Credentials | None = None


class RemoveOwnBackend(Command, frozen=True, kw_only=True):
    by: AccountId


async def see_backend(command: SeeBackend, context: Context, needs: Needs) -> Accepted:
    decide = partial(backend.see, sight=command.sight, access=command.access)
    return await needs.streams.transact(context, Change(BACKEND, backend_id(command.sight.name), decide))


async def lose_backend(command: LoseBackend, context: Context, needs: Needs) -> Accepted:
    return await needs.streams.transact(
        context,
        Change(BACKEND, backend_id(command.name), lambda state: backend.lose(state, reason=command.reason)),
    )


async def take_stock(command: TakeStock, context: Context, needs: Needs) -> Accepted:
    return await needs.streams.transact(
        context,
        Change(
            BACKEND,
            backend_id(command.stock.name),
            lambda state: backend.take_stock(state, stock=command.stock),
        ),
    )


async def register_backend(command: RegisterBackend, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, Conflict, KeyReused."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return earlier
    access = reached(
        command.kind,
        url=command.url,
        endpoint=command.endpoint,
        credentials=command.credentials,
        private=True,
    )
    registered = BackendRegistered(
        name=command.name,
        access=needs.new_id(),
        kind=command.kind,
        pool=command.pool,
        owner=command.owner,
        executor=command.executor,
        slots=command.slots,
        reason=command.reason,
    )
    return await _register(registered, access, context, needs)


async def change_backend(command: ChangeBackend, context: Context, needs: Needs) -> Accepted:
    """All changes or none. Raises NotFound, Invalid, Conflict, KeyReused."""
    state = await _state(command.name, needs)
    access = await _other_access(command, state, needs)
    id = None if access is None else needs.new_id()

    def decide(state: Backend) -> list[BackendEvent]:
        return backend.change(
            state,
            access=id,
            pool=command.pool,
            executor=command.executor,
            slots=command.slots,
            reason=command.reason,
        )

    decide(state)
    if access is not None and id is not None:
        await needs.backend_access.keep(id, command.name, state.owner, access)
    return await needs.streams.transact(context, Change(BACKEND, backend_id(command.name), decide))


async def drain_backend(command: DrainBackend, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid."""
    decide = partial(backend.drain, reason=command.reason)
    return await needs.streams.transact(context, Change(BACKEND, backend_id(command.name), decide))


async def resume_backend(command: ResumeBackend, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid."""
    decide = partial(backend.resume, reason=command.reason)
    return await needs.streams.transact(context, Change(BACKEND, backend_id(command.name), decide))


async def remove_backend(command: RemoveBackend, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, Conflict."""
    decide = partial(backend.remove, reason=command.reason)
    accepted = await needs.streams.transact(context, Change(BACKEND, backend_id(command.name), decide))
    await needs.backend_access.forget(command.name)
    return accepted


async def set_own_backend(command: SetOwnBackend, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, Conflict."""
    access = accessed(command.url, command.credentials, private=needs.limits.private_backends)
    name = own_name(command.by)
    state, _ = await needs.streams.load(BACKEND, backend_id(name))
    if state.access is None:
        registered = BackendRegistered(
            name=name, access=needs.new_id(), kind=Kind.COMFYUI, owner=command.by, pool=name
        )
        return await _register(registered, access, context, needs)
    if (await needs.backend_access.opened([state.access])).get(state.access) == access:
        return NOTHING
    id = needs.new_id()
    await needs.backend_access.keep(id, name, command.by, access)
    change = Change(BACKEND, backend_id(name), lambda state: backend.change(state, access=id))
    return await needs.streams.transact(context, change)


async def remove_own_backend(command: RemoveOwnBackend, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Conflict."""
    wish = RemoveBackend(name=own_name(command.by), reason="Its owner wants it so.")
    return await remove_backend(wish, context, needs)


async def _register(
    registered: BackendRegistered, access: Access, context: Context, needs: Needs
) -> Accepted:
    def decide(state: Backend) -> list[BackendEvent]:
        return backend.register(state, registered=registered)

    id = backend_id(registered.name)
    state, _ = await needs.streams.load(BACKEND, id)
    decide(state)
    await needs.backend_access.keep(registered.access, registered.name, registered.owner, access)
    return await needs.streams.transact(context, Change(BACKEND, id, decide))


async def _state(name: str, needs: Needs) -> Backend:
    state, _ = await needs.streams.load(BACKEND, backend_id(name))
    if not state.known:
        raise NotFound(NO_BACKEND)
    return state


async def _other_access(command: ChangeBackend, state: Backend, needs: Needs) -> Access | None:
    """Where it will be; None: where it is."""
    said = (command.url, command.endpoint, command.credentials)
    if all(each is None for each in said) and not command.open:
        return None
    kept: dict[UUID, Access] = {}
    if state.access is not None:
        kept = dict(await needs.backend_access.opened([state.access]))
    was = next(iter(kept.values()), Access(""))
    wanted = changed(
        state.kind,
        was,
        url=command.url,
        endpoint=command.endpoint,
        credentials=command.credentials,
        closed=command.open,
        private=True,
    )
    return None if wanted == was else wanted
