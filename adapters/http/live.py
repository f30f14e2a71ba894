"""A run as it happens: server-sent events, facts with their position as id, progress without one.

Facts come from the log, in order and without gaps, also after a reconnect with Last-Event-ID. Progress is lossy.
"""

import asyncio
import base64
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter
from litestar.types import ASGIApp, Receive, Scope, Send

from adapters.http.answers import answers
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.presence import Guests
from domain.event import AnyRecorded, Recorded, topic
from domain.ids import RunId
from domain.refusals import NotFound, TooMany
from domain.run import OVER, RUN, Run, RunSubmitted, Status
from services.ports.watching import FactSeen, GapFeared, NodesSeen, PreviewSeen, StepSeen, Watcher

LastEventId: TypeAlias = Annotated[
    str,
    HeaderParameter(name="Last-Event-ID", description="The last id you have seen: what is newer is told."),
]
SILENCE_S = 10.0  # then a comment keeps proxies from closing, and the log is read in case a hint was lost
RETRY_S = 5
STILL_HERE = b": still here\r\n\r\n"
PUBLIC = {Status.CLAIMED: Status.QUEUED}
UNDER_WAY = {Status.CLAIMED, Status.RUNNING}
HEAD: Any = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ],
}


@get(
    "/runs/{run:uuid}/live",
    responses=answers(200, str, 401, 404, 429, media_type="text/event-stream"),
)
async def live(
    request: Request[Any, Any, Any],
    run: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    last: LastEventId = "",
) -> ASGIApp:
    """Follow a run until it is over, or the session is. Events: `state` (id = position), `progress`, `preview`."""
    guests: Guests = request.app.state.guests
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else 0
    following = _Following(parts, guests, caller, RunId(run), seen)
    if guests.are_many(following):
        raise TooMany("Too many runs are followed by this account.", retry_after_s=RETRY_S)
    return following


class _Following:
    """The answer. It ends with the run, with the session, or when its reader has gone."""

    def __init__(self, parts: Parts, guests: Guests, caller: Caller, run: RunId, seen: int) -> None:
        self.caller = caller
        self._parts = parts
        self._guests = guests
        self._account = caller.account
        self._watch: Watcher | None = None
        self._run = run
        self._seen = seen
        self._state, self._version = Run(), 0

    def send_away(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises NotFound, LogUnavailableError."""
        async with self._parts.live.watch(self._account, self._run) as watch:
            happened = await self._parts.log.read(self._run)  # listening: nothing falls between
            match happened:
                case [Recorded(event=RunSubmitted(owner=self._account)), *_]:
                    known = self._told(happened)
                case _:
                    raise NotFound("There is no such run.")
            self._watch = watch
            self._guests.enter(self)
            presence = asyncio.create_task(_present(receive))
            presence.add_done_callback(lambda _: watch.stop())
            try:
                await send(HEAD)
                body = known + await self._progress()
                while self._state.status not in OVER and not watch.stopped:
                    if body:
                        await send({"type": "http.response.body", "body": body, "more_body": True})
                    body = await self._next(watch)
                    while watch.waits and self._state.status not in OVER:
                        body += await self._next(watch)  # what comes together is sent together
                await send({"type": "http.response.body", "body": body, "more_body": False})
            finally:
                self._guests.leave(self)
                presence.cancel()

    async def _next(self, watch: Watcher) -> bytes:
        match await watch.next(SILENCE_S):
            case StepSeen(progress=progress):
                return _event("progress", progress)
            case PreviewSeen(image=image, media_type=media_type):
                return _event("preview", {"media_type": media_type, "image": base64.b64encode(image)})
            case FactSeen(recorded=recorded) if recorded.version <= self._version:
                return b""
            case FactSeen(recorded=recorded) if recorded.version == self._version + 1:
                return self._told((recorded,))
            case FactSeen():
                return await self._news()
            case GapFeared():
                return await self._news() + await self._progress()
            case None:
                return b"" if watch.stopped else await self._news() + STILL_HERE
            case NodesSeen():
                return b""

    async def _news(self) -> bytes:
        return self._told(await self._parts.log.read(self._run, after=self._version))

    def _told(self, happened: Sequence[AnyRecorded]) -> bytes:
        """Take in what has happened; what the reader has not seen is written for it."""
        told = b""
        for recorded in happened:
            self._version, self._state = recorded.version, RUN.evolve(self._state, recorded.event)
            if recorded.position > self._seen:
                told += _fact(recorded, self._state)
        return told

    async def _progress(self) -> bytes:
        """The last, while there may be any."""
        if self._state.status not in UNDER_WAY:
            return b""
        last = await self._parts.live.last_progress(self._account, self._run)
        return b"" if last is None else _event("progress", last)


async def _present(receive: Receive) -> None:
    """Returns when the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        continue


def _fact(recorded: AnyRecorded, state: Run) -> bytes:
    fact = {
        "position": recorded.position,
        "at": recorded.at,
        "topic": topic(recorded.event),
        "status": PUBLIC.get(state.status, state.status),
        "event": recorded.event,
    }
    return b"id: %d\r\n" % recorded.position + _event("state", fact)


def _event(name: str, content: Any) -> bytes:
    return b"event: %s\r\ndata: %s\r\n\r\n" % (name.encode(), msgspec.json.encode(content))


ROUTER = Router("/", route_handlers=[live], tags=["runs"])
