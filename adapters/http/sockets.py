"""Many runs as they happen, over one WebSocket: facts with their position, in the order of the log, and progress.

JSON in text frames. In: {"op": "login", "token": ...} first, where no header tells who it is; then {"op": "subscribe",
"run": id} or {"op": "subscribe", "all": true}, with "after": position to be told what happened since; "unsubscribe"
alike. Out: "ready", "subscribed", "state", "progress", "preview", "problem", each with its `type`. Who comes late is
told the last state. Who reads too slowly loses pictures, then steps, and never facts.
"""

import asyncio
import base64
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec
from litestar import Router, WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import Struct

from adapters.http.callers import API_KEY_HEADER, Caller, visitor
from adapters.http.live import PUBLIC, UNDER_WAY
from adapters.http.parts import Parts
from adapters.http.presence import Guests
from adapters.http.reads import Reader
from commands.ports import LogUnavailableError
from domain.event import AnyRecorded, Recorded, topic
from domain.ids import Position, RunId
from domain.refusals import DomainError, NotAuthenticated
from domain.run import OVER, RUN, Run, RunSubmitted
from projections import run_status
from projections.run_pages import RunFilters
from services.ports.watching import FactSeen, GapFeared, Gathering, PreviewSeen, StepSeen

LOGIN_S = 10.0
NEWS_S = 15.0  # the log is read from time to time in case a hint was lost
MAX_RUNS = 200
MAX_PROBLEMS = 20
MAX_BEHIND = 200_000  # positions that are looked through for what happened since
PAGE = 500
SHOWN = 100  # runs under way, of each status, told to who asks for all
LOGGED_OUT, TOO_SLOW, MISBEHAVED, TOO_MANY = 4401, 4408, 4400, 4429
NO_RUN = "There is no such run."


class Wish(Struct, frozen=True, forbid_unknown_fields=True):
    op: str
    token: str = ""
    run: RunId | None = None
    all: bool = False
    after: int | None = None


@websocket("/live")
async def live(socket: WebSocket[Any, Any, Any]) -> None:
    parts: Parts = socket.app.state.parts
    guests: Guests = socket.app.state.guests
    await socket.accept()
    try:
        caller = await _who(socket, parts)
    except (DomainError, LogUnavailableError, TimeoutError) as error:
        await _close(socket, LOGGED_OUT, str(error) or "Please log in.")
        return
    except WebSocketDisconnect:
        return
    conversation = _Conversation(socket, parts, caller)
    if guests.are_many(conversation):
        await _close(socket, TOO_MANY, "Too many connections of this account.")
        return
    guests.enter(conversation)
    try:
        await conversation.run()
    finally:
        guests.leave(conversation)


class _Known(Struct):
    """A run as far as its reader knows it."""

    state: Run
    version: int


class _Conversation:
    def __init__(self, socket: WebSocket[Any, Any, Any], parts: Parts, caller: Caller) -> None:
        self.caller = caller
        self._socket = socket
        self._parts = parts
        self._known: dict[RunId, _Known] = {}
        self._all = False
        self._reached = Position(0)
        self._problems = 0
        self._wishes: asyncio.Queue[Wish | None] = asyncio.Queue(16)
        self._gathering: Gathering | None = None
        self._closing: tuple[int, str] = (1000, "")

    def send_away(self) -> None:
        self._end(LOGGED_OUT, "This session has ended.")

    async def run(self) -> None:
        """Until one of both has had enough."""
        async with self._parts.live.gather(self.caller.account) as gathering:
            self._gathering = gathering
            reading = asyncio.create_task(self._read())
            try:
                await self._send({"type": "ready", "account": self.caller.account})
                while not gathering.stopped:
                    await self._turn(gathering)
                if gathering.overrun:
                    self._closing = (TOO_SLOW, "You read too slowly. Come back with `after`.")
            except (WebSocketDisconnect, OSError):
                return  # nobody is there any more
            except (LogUnavailableError, DomainError):
                self._closing = (1013, "The log cannot be read at the moment. Come back with `after`.")
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        await _close(self._socket, *self._closing)

    def _end(self, code: int, reason: str) -> None:
        self._closing = (code, reason)
        if self._gathering is not None:
            self._gathering.stop()

    async def _read(self) -> None:
        """What the other side says, as it says it; it is acted upon in between of what is told."""
        try:
            while True:
                text = await self._socket.receive_text()
                await self._wishes.put(_wish(text))
                assert self._gathering is not None
                self._gathering.nudge()
        except WebSocketDisconnect:
            self._end(1000, "")

    async def _turn(self, gathering: Gathering) -> None:
        while not self._wishes.empty():
            await self._obey(self._wishes.get_nowait(), gathering)
        match await gathering.next(NEWS_S):
            case FactSeen(recorded=recorded):
                await self._happened(recorded)
            case StepSeen(progress=progress) if (
                progress.run in self._known
            ):  # whose it is we know by its facts
                await self._send({"type": "progress"} | msgspec.to_builtins(progress))
            case PreviewSeen(image=image, media_type=media_type, run=run) if run in self._known:
                picture = base64.b64encode(image).decode()
                await self._send({"type": "preview", "run": run, "media_type": media_type, "image": picture})
            case GapFeared():
                await self._catch_up()
            case None if not gathering.stopped and self._wishes.empty():
                await self._catch_up()
            case _:
                pass

    async def _obey(self, wish: Wish | None, gathering: Gathering) -> None:
        match wish:
            case Wish(op="subscribe", run=None, all=True, after=after):
                await gathering.add_all()
                self._all = True
                await self._send({"type": "subscribed", "all": True})
                await self._tell_all(after)
            case Wish(op="subscribe", run=UUID() as run, all=False, after=after):
                await self._subscribe(RunId(run), after, gathering)
            case Wish(op="unsubscribe", run=None, all=True):
                self._all = False
                await gathering.drop_all()
            case Wish(op="unsubscribe", run=UUID() as run, all=False):
                self._known.pop(RunId(run), None)
                await gathering.drop(RunId(run))
            case _:
                await self._problem("Say subscribe or unsubscribe, and either a run or all.")

    async def _subscribe(self, run: RunId, after: int | None, gathering: Gathering) -> None:
        if len(self._known) >= MAX_RUNS and run not in self._known:
            await self._problem(f"One connection watches {MAX_RUNS} runs at most, or all.")
            return
        await gathering.add(run)  # listening: nothing falls between
        if not await self._tell_run(run, after):
            await gathering.drop(run)
            await self._problem(NO_RUN, run)

    async def _tell_run(self, run: RunId, after: int | None) -> bool:
        """What its reader has not seen, or the last of it. Whether it is theirs at all."""
        happened = await self._parts.log.read(run)
        match happened:
            case [Recorded(event=RunSubmitted(owner=self.caller.account)), *_]:
                pass
            case _:
                return False
        seen = happened[-1].position - 1 if after is None else after
        known = self._known[run] = _Known(RUN.initial, 0)
        await self._send({"type": "subscribed", "run": run})
        for recorded in happened:
            known.state, known.version = RUN.evolve(known.state, recorded.event), recorded.version
            if recorded.position > seen:
                await self._fact(recorded, known.state)
        if known.state.status in UNDER_WAY:
            last = await self._parts.live.last_progress(self.caller.account, run)
            if last is not None:
                await self._send({"type": "progress"} | msgspec.to_builtins(last))
        return True

    async def _tell_all(self, after: int | None) -> None:
        if after is not None:
            self._reached = Position(max(after, self._reached))
            await self._catch_up()
            return
        self._reached = await self._parts.own.head()
        for status in ("running", "queued"):
            page = await self._reader_page(status)
            for row in page:
                if (run := RunId(UUID(row["id"]))) not in self._known:
                    await self._tell_run(run, None)

    async def _reader_page(self, status: str) -> list[Any]:
        reader = Reader(self._parts.reads, self.caller.account, 0)
        body = await reader.ask(
            run_status.own_runs, self.caller.account, SHOWN, filters=RunFilters(status=status)
        )
        page: dict[str, Any] = msgspec.json.decode(body)
        return list(page["items"])

    async def _happened(self, recorded: AnyRecorded) -> None:
        run = RunId(recorded.stream)
        known = self._known.get(run)
        if known is None:
            if not self._all or recorded.position <= self._reached:
                return
            known = self._known[run] = _Known(RUN.initial, 0)
        if recorded.version <= known.version:
            return
        missing = [recorded]
        if recorded.version > known.version + 1:
            missing = list(await self._parts.log.read(run, after=known.version))
        self._reached = Position(max(self._reached, recorded.position))
        before = recorded.position if known.version == 0 else 0  # of one met just now the past is not told
        for each in missing:
            known.state, known.version = RUN.evolve(known.state, each.event), each.version
            if each.position >= before:
                await self._fact(each, known.state)
        if self._all and known.state.status in OVER:
            self._known.pop(run, None)  # so that what is kept does not grow with what happens

    async def _catch_up(self) -> None:
        """From the log: what nobody has told us."""
        for run, known in tuple(self._known.items()):
            for recorded in await self._parts.log.read(run, after=known.version):
                await self._happened(recorded)
        if self._all and self._reached:
            head = await self._parts.own.head()
            if head - self._reached > MAX_BEHIND:
                await self._problem("That is too long ago: look at the runs themselves.")
                self._reached = head
            while self._reached < head:
                events = await self._parts.own.of_owner(self.caller.account, self._reached, head, PAGE)
                for recorded in events:
                    if topic(recorded.event).startswith("run."):
                        await self._happened(recorded)
                self._reached = events[-1].position if len(events) == PAGE else head

    async def _fact(self, recorded: AnyRecorded, state: Run) -> None:
        await self._send(
            {
                "type": "state",
                "run": recorded.stream,
                "position": recorded.position,
                "at": recorded.at,
                "topic": topic(recorded.event),
                "status": PUBLIC.get(state.status, state.status),
                "event": recorded.event,
            }
        )

    async def _problem(self, detail: str, run: RunId | None = None) -> None:
        self._problems += 1
        await self._send({"type": "problem", "detail": detail} | ({} if run is None else {"run": run}))
        if self._problems >= MAX_PROBLEMS:
            self._end(MISBEHAVED, "Too many requests that make no sense.")

    async def _send(self, content: dict[str, Any]) -> None:
        await self._socket.send_data(msgspec.json.encode(content).decode(), "text")


async def _who(socket: WebSocket[Any, Any, Any], parts: Parts) -> Caller:
    """By a header, or by the first thing said: browsers cannot send headers. Raises DomainError, TimeoutError."""
    token = socket.headers.get(API_KEY_HEADER)
    if token is None:
        kind, _, shown = socket.headers.get("authorization", "").partition(" ")
        token = shown.strip() if kind.lower() == "bearer" else None
    if token is None:
        async with asyncio.timeout(LOGIN_S):
            wish = _wish(await socket.receive_text())
        if wish is None or wish.op != "login":
            raise NotAuthenticated('Please say {"op": "login", "token": ...} first.')
        token = wish.token
    return await visitor(token, parts)


def _wish(text: str) -> Wish | None:
    """None: it makes no sense."""
    try:
        return msgspec.json.decode(text, type=Wish)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


async def _close(socket: WebSocket[Any, Any, Any], code: int, reason: str) -> None:
    with suppress(WebSocketDisconnect, OSError, RuntimeError):  # it may have gone by itself
        await socket.close(code, reason[:120])


ROUTER = Router("/", route_handlers=[live])
