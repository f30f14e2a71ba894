"""A run as it happens: server-sent events, facts with their position as id, progress without one.

Facts come from the log, in order and without gaps, also after a reconnect with Last-Event-ID. Progress is lossy.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from adapters.http.answers import answers
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from domain.event import AnyRecorded, topic
from domain.ids import AccountId, RunId
from domain.refusals import NotFound
from domain.run import OVER, RUN, Run, Status
from services.ports.watching import FactSeen, GapFeared, PreviewSeen, Sighting, StepSeen

LastEventId: TypeAlias = Annotated[
    str,
    HeaderParameter(name="Last-Event-ID", description="The last id you have seen: what is newer is told."),
]
SILENCE_S = 10.0  # then a comment keeps proxies from closing, and the log is read in case a hint was lost
PUBLIC = {Status.CLAIMED: Status.QUEUED}


@get(
    "/runs/{run:uuid}/live",
    responses=answers(200, str, 401, 404, media_type="text/event-stream"),
)
async def live(
    run: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    last: LastEventId = "",
) -> ServerSentEvent:
    """Follow a run until it is over. Events: `state` (id = position), `progress`, `preview`."""
    state, _ = await parts.commands.needs.streams.load(RUN, run)
    if state.owner != caller.account:
        raise NotFound("There is no such run.")
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else 0
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return ServerSentEvent(_happenings(parts, caller.account, RunId(run), seen), headers=headers)


async def _happenings(
    parts: Parts, owner: AccountId, run: RunId, seen: int
) -> AsyncIterator[ServerSentEventMessage]:
    async with parts.live.watch(owner, run) as watch:  # first listen, then read: nothing falls between
        state, version = Run(), 0
        sighting: Sighting | None = GapFeared()
        while True:
            match sighting:
                case StepSeen(progress=progress):
                    yield _message("progress", progress)
                case PreviewSeen(image=image, media_type=media_type):
                    yield _message("preview", {"media_type": media_type, "image": base64.b64encode(image)})
                case FactSeen() | GapFeared() | None:
                    for recorded in await _news(parts, run, version, sighting):
                        version, state = recorded.version, RUN.evolve(state, recorded.event)
                        if recorded.position > seen:
                            yield _fact(recorded, state)
                    if state.status in OVER:
                        return
                    if sighting is None:
                        yield ServerSentEventMessage(data=None, comment="still here")
            if isinstance(sighting, GapFeared) and (last := await parts.live.last_progress(owner, run)):
                yield _message("progress", last)
            sighting = await watch.next(SILENCE_S)


async def _news(
    parts: Parts, run: RunId, version: int, sighting: FactSeen | GapFeared | None
) -> Sequence[AnyRecorded]:
    """What has happened behind a version: the next fact as it was told, else what the log says."""
    match sighting:
        case FactSeen(recorded=recorded) if recorded.version == version + 1:
            return (recorded,)
        case FactSeen(recorded=recorded) if recorded.version <= version:
            return ()
        case _:
            return await parts.log.read(run, after=version)


def _fact(recorded: AnyRecorded, state: Run) -> ServerSentEventMessage:
    fact = {
        "position": recorded.position,
        "at": recorded.at,
        "topic": topic(recorded.event),
        "status": PUBLIC.get(state.status, state.status),
        "event": recorded.event,
    }
    return _message("state", fact, recorded.position)


def _message(name: str, content: Any, id: int | None = None) -> ServerSentEventMessage:
    return ServerSentEventMessage(data=msgspec.json.encode(content).decode(), event=name, id=id)


ROUTER = Router("/", route_handlers=[live], tags=["runs"])
