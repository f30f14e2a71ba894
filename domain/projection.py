"""A read model, as far as the log knows it: the events that it leaves out, each by somebody's decision."""

from typing import TypeAlias

from msgspec import Struct

from domain.event import Decider, Event
from domain.ids import Position
from domain.reasons import MAX_REASON, stated


class ProjectionEventSkipped(Event, frozen=True, kw_only=True, tag="projection.event_skipped.v1"):
    """`fault`: why the event could not be taken in. `reason`: why it may be left out."""

    projection: str
    position: Position
    reason: str
    fault: str = ""


class ProjectionSkipWithdrawn(Event, frozen=True, kw_only=True, tag="projection.skip_withdrawn.v1"):
    """The event can be taken in after all."""

    projection: str
    position: Position
    reason: str


ProjectionEvent: TypeAlias = ProjectionEventSkipped | ProjectionSkipWithdrawn


class ReadModel(Struct, frozen=True):
    skipped: tuple[Position, ...] = ()


def evolve(model: ReadModel, event: ProjectionEvent) -> ReadModel:
    match event:
        case ProjectionEventSkipped(position=position):
            return ReadModel(skipped=(*model.skipped, position))
        case ProjectionSkipWithdrawn(position=position):
            return ReadModel(skipped=tuple(each for each in model.skipped if each != position))


PROJECTION: Decider[ReadModel, ProjectionEvent] = Decider(
    "projection", ReadModel(), evolve, lambda model: None
)


def skip(
    model: ReadModel, *, projection: str, position: Position, reason: str, fault: str = ""
) -> list[ProjectionEvent]:
    """Leave an event out, now and in every later build. That it stands in the way is known by the caller."""
    given = stated(reason)
    if position in model.skipped:
        return []
    return [
        ProjectionEventSkipped(
            projection=projection, position=position, reason=given, fault=fault[:MAX_REASON]
        )
    ]


def withdraw_skip(
    model: ReadModel, *, projection: str, position: Position, reason: str
) -> list[ProjectionEvent]:
    """Take an event in again that was left out: what stood in the way is mended."""
    given = stated(reason)
    if position not in model.skipped:
        return []
    return [ProjectionSkipWithdrawn(projection=projection, position=position, reason=given)]
