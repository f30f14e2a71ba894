"""A backend: a ComfyUI server, or a provider's endpoint, that an executor drives.

It may be registered; else its executor's settings name it. It is seen, and it may be lost from sight; while it is
drained it is given nothing new. Where it is and what opens it are known here by an id only.
"""

from enum import StrEnum
from typing import TypeAlias, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.reasons import stated
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.run import SHARED
from domain.workflow import Content


class Kind(StrEnum):
    COMFYUI = "comfyui"
    RUNPOD = "runpod"
    """A serverless endpoint."""


class BackendSeen(Event, frozen=True, kw_only=True, tag="backend.seen.v1"):
    name: str
    executor: str
    comfyui_version: str = ""
    device: str = ""


class BackendLost(Event, frozen=True, kw_only=True, tag="backend.lost.v1"):
    name: str
    reason: str


class BackendRegistered(Event, frozen=True, kw_only=True, tag="backend.registered.v1"):
    """`owner`: serves this account only. `executor`: who drives it, none named: any that serves all.

    `access`: under which its address and credentials are kept. `slots`: prompts inside, 0: as its executor thinks.
    """

    name: str
    access: UUID
    kind: Kind
    pool: str = SHARED
    owner: AccountId | None = None
    executor: str = ""
    slots: int = 0
    reason: str = ""


class BackendChanged(Event, frozen=True, kw_only=True, tag="backend.changed.v1"):
    """None: as it was."""

    name: str
    access: UUID | None = None
    pool: str | None = None
    executor: str | None = None
    slots: int | None = None
    reason: str = ""


class BackendDrained(Event, frozen=True, kw_only=True, tag="backend.drained.v1"):
    """It finishes what it has and is given nothing new."""

    name: str
    reason: str


class BackendResumed(Event, frozen=True, kw_only=True, tag="backend.resumed.v1"):
    name: str
    reason: str


class BackendRemoved(Event, frozen=True, kw_only=True, tag="backend.removed.v1"):
    name: str
    reason: str


class BackendInventoried(Event, frozen=True, kw_only=True, tag="backend.inventoried.v1"):
    """What it has: the whole list is a document beside the log."""

    name: str
    inventory: Content
    comfyui_version: str = ""
    vram_bytes: int = 0
    node_classes: int = 0
    checkpoints: int = 0
    loras: int = 0
    other_models: int = 0


BackendEvent: TypeAlias = (
    BackendSeen
    | BackendLost
    | BackendRegistered
    | BackendChanged
    | BackendDrained
    | BackendResumed
    | BackendRemoved
    | BackendInventoried
)

MAX_NAME = 64
MAX_SLOTS = 64
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
BOUND = "account-"
OWN = "own-"
NO_BACKEND = "There is no such backend."

T = TypeVar("T")


class Backend(Struct, frozen=True):
    """`access` is None for one that nobody has registered."""

    name: str = ""
    live: bool = False
    seen: BackendSeen | None = None
    access: UUID | None = None
    kind: Kind = Kind.COMFYUI
    pool: str = SHARED
    owner: AccountId | None = None
    executor: str = ""
    slots: int = 0
    draining: bool = False
    removed: bool = False
    inventory: Content | None = None

    @property
    def registered(self) -> bool:
        return self.access is not None

    @property
    def known(self) -> bool:
        return self.registered or self.seen is not None


def evolve(backend: Backend, event: BackendEvent) -> Backend:
    match event:
        case BackendSeen(name=name, executor=executor):
            owner = backend.owner if backend.registered else bound_to(executor)
            return replace(backend, name=name, live=True, seen=event, owner=owner, removed=False)
        case BackendLost():
            return replace(backend, live=False)
        case BackendRegistered():
            return replace(
                backend,
                name=event.name,
                access=event.access,
                kind=event.kind,
                pool=event.pool,
                owner=event.owner,
                executor=event.executor,
                slots=event.slots,
                draining=False,
                removed=False,
            )
        case BackendChanged():
            return replace(
                backend,
                access=_or(event.access, backend.access),
                pool=_or(event.pool, backend.pool),
                executor=_or(event.executor, backend.executor),
                slots=_or(event.slots, backend.slots),
            )
        case BackendDrained():
            return replace(backend, draining=True)
        case BackendResumed():
            return replace(backend, draining=False)
        case BackendRemoved():
            return Backend(name=backend.name, owner=backend.owner, removed=True)
        case BackendInventoried(inventory=inventory):
            return replace(backend, inventory=inventory)


BACKEND: Decider[Backend, BackendEvent] = Decider(
    "backend", Backend(), evolve, lambda backend: backend.owner, shape=3
)


def own_name(account: AccountId) -> str:
    """What an account's own backend is called."""
    return f"{OWN}{account}"


def served(pool: str, owner: AccountId | None) -> tuple[str, ...]:
    """The pools that a backend takes runs from. One of an account takes that account's runs from everybody's, too."""
    return (pool,) if owner is None else tuple(dict.fromkeys((SHARED, own_name(owner), pool)))


def bound_to(executor: str) -> AccountId | None:
    """Whose own executor it is: `account-<id>` serves this account and nobody else."""
    if not executor.startswith(BOUND):
        return None
    try:
        return AccountId(UUID(executor.removeprefix(BOUND)))
    except ValueError:
        return None


def see(backend: Backend, *, sight: BackendSeen, access: UUID | None = None) -> list[BackendEvent]:
    """It answers its executor. Said once, until it is lost or is another than before.

    `access`: of the order by which it is driven. Where it was removed or has moved since, this comes too late.
    """
    if access is not None and access != backend.access:
        return []
    return [] if backend.live and backend.seen == sight else [sight]


def lose(backend: Backend, *, reason: str) -> list[BackendEvent]:
    """It answers no more, or its executor does not."""
    if not backend.live or backend.seen is None:
        return []
    return [BackendLost(name=backend.seen.name, reason=reason)]


def take_stock(backend: Backend, *, stock: BackendInventoried) -> list[BackendEvent]:
    """Its executor has looked what it has. Said once, until that is something else."""
    return [] if backend.inventory == stock.inventory or not backend.known else [stock]


def register(backend: Backend, *, registered: BackendRegistered) -> list[BackendEvent]:
    """From now on an executor drives it."""
    if backend.registered:
        raise Conflict("A backend of this name is registered already.")
    if backend.live:
        raise Conflict("An executor drives a backend of this name by its own settings.")
    _named("name", registered.name)
    if registered.name.startswith(OWN) and (
        registered.owner is None or registered.name != own_name(registered.owner)
    ):
        raise Invalid("The name cannot be used.", FieldError("name", f"{OWN}... are accounts' own backends."))
    _named("pool", registered.pool)
    if registered.executor:
        _named("executor", registered.executor)
    _slots(registered.slots)
    return [replace(registered, reason=_optional(registered.reason))]


def change(
    backend: Backend,
    *,
    access: UUID | None = None,
    pool: str | None = None,
    executor: str | None = None,
    slots: int | None = None,
    reason: str = "",
) -> list[BackendEvent]:
    """What is None stays as it is."""
    _registered(backend)
    if pool is not None:
        _named("pool", pool)
    if executor:
        _named("executor", executor)
    if slots is not None:
        _slots(slots)
    wanted = BackendChanged(
        name=backend.name,
        access=_other(access, backend.access),
        pool=_other(pool, backend.pool),
        executor=_other(executor, backend.executor),
        slots=_other(slots, backend.slots),
        reason=_optional(reason),
    )
    changes = (wanted.access, wanted.pool, wanted.executor, wanted.slots)
    return [] if all(each is None for each in changes) else [wanted]


def drain(backend: Backend, *, reason: str) -> list[BackendEvent]:
    """Give it nothing new; what it has it finishes. Asking twice is not an error."""
    given = stated(reason)
    _known(backend)
    return [] if backend.draining else [BackendDrained(name=backend.name, reason=given)]


def resume(backend: Backend, *, reason: str) -> list[BackendEvent]:
    """Give it work again."""
    given = stated(reason)
    _known(backend)
    return [BackendResumed(name=backend.name, reason=given)] if backend.draining else []


def remove(backend: Backend, *, reason: str) -> list[BackendEvent]:
    """Forget it: its executor leaves it, and its runs go on elsewhere."""
    given = stated(reason)
    if backend.removed:
        return []
    _known(backend)
    if not backend.registered and backend.live:
        raise Conflict("An executor drives this backend by its own settings. Stop the executor, or drain it.")
    return [BackendRemoved(name=backend.name, reason=given)]


def _known(backend: Backend) -> None:
    if not backend.known:
        raise NotFound(NO_BACKEND)


def _registered(backend: Backend) -> None:
    _known(backend)
    if not backend.registered:
        raise Conflict("An executor drives this backend by its own settings: they are changed there.")


def _or(wanted: T | None, is_now: T) -> T:
    return is_now if wanted is None else wanted


def _other(wanted: T | None, is_now: T | None) -> T | None:
    return None if wanted == is_now else wanted


def _named(field: str, name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME or not set(name) <= LETTERS:
        raise Invalid(
            f"The {field} cannot be used.",
            FieldError(field, f"It has 1 to {MAX_NAME} letters, digits, - and _."),
        )


def _slots(slots: int) -> None:
    if not 0 <= slots <= MAX_SLOTS:
        raise Invalid("There cannot be so many slots.", FieldError("slots", f"0 to {MAX_SLOTS}."))


def _optional(reason: str) -> str:
    return stated(reason) if reason else ""
