"""The backends that there are, as a table of run status: who drives each of them, and what it has."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.backend import (
    BackendChanged,
    BackendDrained,
    BackendInventoried,
    BackendLost,
    BackendRegistered,
    BackendRemoved,
    BackendResumed,
    BackendSeen,
    bound_to,
)
from domain.event import AnyRecorded, Event
from domain.run import SHARED
from projections.projection import Table
from projections.rows import Rows

NOT_YET = "Its executor has not told of it yet."


class BackendRow(Struct, gc=False):
    """`since`: when it appeared or disappeared last. `reason`: why it is not live, or is drained."""

    name: str
    live: bool
    executor: str
    comfyui_version: str
    device: str
    reason: str
    since: datetime
    owner: UUID | None = None
    pool: str = SHARED
    registered: bool = False
    draining: bool = False
    slots: int = 0
    inventory: str | None = None
    vram_bytes: int = 0
    node_classes: int = 0
    checkpoints: int = 0
    loras: int = 0
    other_models: int = 0


EVENTS: set[type[Event]] = {
    BackendSeen,
    BackendLost,
    BackendRegistered,
    BackendChanged,
    BackendDrained,
    BackendResumed,
    BackendRemoved,
    BackendInventoried,
}


def _backend(recorded: AnyRecorded) -> Iterable[str]:
    return (recorded.event.name,)


BACKENDS = Table("backends", BackendRow, ("name",), _backend, frozenset(EVENTS))


def fold_backend(event: Event, at: datetime, rows: Rows[BackendRow]) -> None:
    match event:
        case BackendSeen(name=name):
            row = rows.get(name) or BackendRow(name, True, "", "", "", "", at, owner=bound_to(event.executor))
            row.live, row.executor, row.reason, row.since = True, event.executor, "", at
            row.comfyui_version, row.device = event.comfyui_version, event.device
            rows.put(row)
        case BackendLost(name=name, reason=reason):
            rows.change(name, live=False, reason=reason, since=at)
        case BackendRegistered(name=name):
            row = BackendRow(name, False, event.executor, "", "", NOT_YET, at)
            row.owner, row.pool, row.registered, row.slots = event.owner, event.pool, True, event.slots
            rows.put(row)
        case BackendChanged(name=name):
            changes = {"pool": event.pool, "slots": event.slots}
            rows.change(name, **{field: value for field, value in changes.items() if value is not None})
        case BackendDrained(name=name):
            rows.change(name, draining=True)
        case BackendResumed(name=name):
            rows.change(name, draining=False)
        case BackendRemoved(name=name):
            rows.remove(name)
        case BackendInventoried(name=name):
            rows.change(
                name,
                inventory=event.inventory.digest,
                vram_bytes=event.vram_bytes,
                node_classes=event.node_classes,
                checkpoints=event.checkpoints,
                loras=event.loras,
                other_models=event.other_models,
            )
        case _:
            pass
