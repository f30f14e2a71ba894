"""What has to be known of a place where people talk before anything is decided about what is said there."""

from typing import Any
from uuid import UUID

from commands.streams import Source, Streams
from domain.ids import OutputId, WorkflowId
from domain.place import Kind, OutputPlace, Place, Scene, ShownOutput
from domain.refusals import NotFound
from domain.run import RUN
from domain.shared_output import NO_OUTPUT, SHARED_OUTPUT
from domain.workflow import WORKFLOW


async def place_of(kind: Kind, subject: UUID, streams: Streams) -> Place:
    """Raises NotFound for an output that never was shown."""
    match kind:
        case Kind.WORKFLOW:
            return Place(workflow=WorkflowId(subject))
        case Kind.OUTPUT:
            shared, _ = await streams.load(SHARED_OUTPUT, subject)
            if shared.shown is None:
                raise NotFound(NO_OUTPUT)
            file = shared.shown.output
            return Place(output=OutputPlace(OutputId(subject), shared.shown.run, file.node, file.index))


def sources(place: Place) -> tuple[Source[Any, Any], ...]:
    """The streams that `scene` is made of."""
    if place.output is not None:
        return Source(SHARED_OUTPUT, place.output.id), Source(RUN, place.output.run)
    return () if place.workflow is None else (Source(WORKFLOW, place.workflow),)


def scene(*states: Any) -> Scene:
    """Of the states of a place's sources."""
    return ShownOutput(*states) if len(states) > 1 else states[0]


async def scene_of(place: Place, streams: Streams) -> Scene:
    return scene(*[(await streams.load(source.decider, source.stream))[0] for source in sources(place)])
