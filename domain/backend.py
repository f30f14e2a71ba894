"""A backend: a ComfyUI server that an executor drives. It is seen, and it may be lost from sight."""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event


class BackendSeen(Event, frozen=True, kw_only=True, tag="backend.seen.v1"):
    name: str
    executor: str
    comfyui_version: str = ""
    device: str = ""


class BackendLost(Event, frozen=True, kw_only=True, tag="backend.lost.v1"):
    name: str
    reason: str


BackendEvent: TypeAlias = BackendSeen | BackendLost


class Backend(Struct, frozen=True):
    live: bool = False
    seen: BackendSeen | None = None


def evolve(backend: Backend, event: BackendEvent) -> Backend:
    match event:
        case BackendSeen():
            return Backend(live=True, seen=event)
        case BackendLost():
            return replace(backend, live=False)


BACKEND: Decider[Backend, BackendEvent] = Decider("backend", Backend(), evolve, lambda backend: None)


def see(backend: Backend, *, sight: BackendSeen) -> list[BackendEvent]:
    """It answers its executor. Said once, until it is lost or is another than before."""
    return [] if backend.live and backend.seen == sight else [sight]


def lose(backend: Backend, *, reason: str) -> list[BackendEvent]:
    """It answers no more, or its executor does not."""
    if not backend.live or backend.seen is None:
        return []
    return [BackendLost(name=backend.seen.name, reason=reason)]
