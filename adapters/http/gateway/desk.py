"""An account's desk: its clients' sockets in this process, and what happens to its runs, told to those concerned.

`status` goes to every socket of the account. What becomes of a prompt goes to the client that sent it, by the newest
of its sockets: an older one of the same name that closes takes nothing away from the newer. Another account's client
of that name is at another desk.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import msgspec

from adapters.http.gateway.presenting import Names, milliseconds
from adapters.http.gateway.sequence import Sequence
from adapters.http.parts import Parts
from adapters.http.problems import NotYet
from adapters.http.reads import Reader
from commands.ports import LogUnavailableError
from domain.event import AnyRecorded
from domain.ids import AccountId, Digest, Position, RunId
from domain.run import (
    OVER,
    RUN,
    OutputStored,
    Run,
    RunAttemptLost,
    RunCancelled,
    RunDeleted,
    RunFailed,
    RunRequeued,
    RunRevived,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
    Status,
    source_of,
)
from domain.source import PromptSource
from projections import output_names, prompts
from projections.prompts import PromptRow
from services.ports.watching import FactSeen, GapFeared, Gathering, NodesSeen, PreviewSeen
from workflows.protocol import messages as protocol
from workflows.protocol.messages import Executing, ExecutingBody, Message, StatusBody
from workflows.protocol.queue import QueueLength, QueueStatus

logger = logging.getLogger(__name__)

STAYS_S = 60.0  # after the last socket has left: who reconnects goes on where they were
NEWS_S = 15.0  # the log is read from time to time, in case a hint was lost
PAUSE_S = 1.0
MAX_SOCKETS = 100  # of one account, in one process
SHOWN = {Status.CLAIMED: Status.QUEUED}  # to whoever looks


class Listener(Protocol):
    """A client's socket. Nothing here waits for it."""

    @property
    def sid(self) -> str: ...

    def say(self, message: Message) -> None: ...

    def show(self, image: bytes, media_type: str, node: str, prompt: str) -> None: ...

    def leave(self) -> None:
        """Nothing can be told any more: come again."""


class _Known(msgspec.Struct):
    """A run as far as it was told. `client`: None where nobody's client sent it. `graph`: what that sent.

    `names`: of its files.
    """

    state: Run
    version: int
    client: str | None
    sequence: Sequence
    names: Names
    graph: Digest | None = None
    stored: Position = Position(0)


class Desk:
    def __init__(self, account: AccountId, parts: Parts) -> None:
        self._account = account
        self._parts = parts
        self._listeners: list[Listener] = []
        self._known: dict[RunId, _Known] = {}
        self._waiting: set[RunId] = set()
        self._opened = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    @property
    def empty(self) -> bool:
        return not self._listeners

    async def enter(self, listener: Listener) -> bool:
        """Greets it. False: there are too many; one that comes again takes the place of what is left of itself."""
        if len(self._listeners) >= MAX_SOCKETS:
            if (before := next((each for each in self._listeners if each.sid == listener.sid), None)) is None:
                return False
            self.leave(before)
            before.leave()
        await self._opened.wait()
        self._listeners.append(listener)
        listener.say(self._status(listener.sid))
        for known in self._known.values():
            if known.client == listener.sid and known.sequence.node is not None:
                listener.say(Executing(ExecutingBody(node=known.sequence.node)))
        return True

    def leave(self, listener: Listener) -> None:
        with suppress(ValueError):
            self._listeners.remove(listener)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async with self._parts.live.gather(self._account) as gathering:
                    await gathering.add_all()
                    await self._take_stock()
                    self._opened.set()
                    await self._follow(gathering)
            except (LogUnavailableError, NotYet) as error:
                logger.info("a desk cannot see", extra={"reason": str(error)})
            except Exception:  # the outermost frame of this desk: its clients come again
                logger.exception("a desk failed")
            self._opened.clear()
            for listener in tuple(self._listeners):
                listener.leave()
            await asyncio.sleep(PAUSE_S)

    async def _take_stock(self) -> None:
        """What waits and runs already."""
        self._known.clear()
        rows: list[PromptRow] = await (await self._reader()).ask(prompts.waiting, self._account)
        self._waiting = {RunId(row.run) for row in rows}
        for row in rows:
            if row.client is not None and row.status is Status.RUNNING:
                await self._learn(RunId(row.run))

    async def _follow(self, gathering: Gathering) -> None:
        while not gathering.stopped:
            match await gathering.next(NEWS_S):
                case FactSeen(recorded=recorded):
                    await self._happened(recorded)
                case NodesSeen(told=told):
                    await self._told(told.run, told.epoch, told.messages)
                case PreviewSeen(image=image, media_type=media_type, run=run, node=node) if run is not None:
                    self._show(run, image, media_type, node)
                case GapFeared():
                    await self._catch_up()
                case None if self._known or self._waiting:
                    await self._catch_up()
                case _:
                    pass

    async def _catch_up(self) -> None:
        """Whatever has happened that nobody told: the log is asked about the runs that are not as we know them."""
        rows: list[PromptRow] = await (await self._reader()).ask(prompts.waiting, self._account)
        now = {RunId(row.run): row.status for row in rows}
        for run, known in tuple(self._known.items()):
            if now.get(run) != SHOWN.get(known.state.status, known.state.status):
                await self._read_on(run, known.version)
        if self._waiting != now.keys():
            self._waiting = set(now)
            self._say_status()

    async def _read_on(self, run: RunId, after: int) -> None:
        for recorded in await self._parts.log.read(run, after=after):
            await self._happened(recorded)

    async def _happened(self, recorded: AnyRecorded) -> None:
        run = RunId(recorded.stream)
        known = self._known.get(run) or await self._meet(recorded)
        if known is None or recorded.version <= known.version:
            return
        if recorded.version > known.version + 1:
            for missed in await self._parts.log.read(run, after=known.version):
                await self._take(run, known, missed)
        else:
            await self._take(run, known, recorded)
        if known.state.status in OVER:
            del self._known[run]

    async def _meet(self, recorded: AnyRecorded) -> _Known | None:
        """A run that we have not heard of. One that is over by now concerns nobody here, unless it has just ended."""
        if isinstance(recorded.event, RunSubmitted):
            known = self._known[RunId(recorded.stream)] = self._new(recorded.event)
            return known
        return await self._learn(RunId(recorded.stream), upto=recorded.version - 1)

    async def _learn(self, run: RunId, upto: int | None = None) -> _Known | None:
        happened = await self._parts.log.read(run)
        if upto is not None:
            happened = [each for each in happened if each.version <= upto]
        if not happened or not isinstance(first := happened[0].event, RunSubmitted):
            return None
        known = self._new(first)
        for each in happened:
            known.state, known.version = RUN.evolve(known.state, each.event), each.version
        if known.state.status in OVER:
            return None
        if known.state.status is Status.RUNNING:
            known.sequence = Sequence(known.sequence.prompt, began=True)
        self._known[run] = known
        return known

    @staticmethod
    def _new(submitted: RunSubmitted) -> _Known:
        source = source_of(submitted)
        if not isinstance(source, PromptSource):
            return _Known(Run(), 0, None, Sequence(""), {})
        return _Known(Run(), 0, source.client, Sequence(source.id), {}, source.sent.digest)

    async def _take(self, run: RunId, known: _Known, recorded: AnyRecorded) -> None:
        known.state, known.version = RUN.evolve(known.state, recorded.event), recorded.version
        sequence, at = known.sequence, milliseconds(recorded.at)
        match recorded.event:
            case RunSubmitted() | RunRevived():
                self._waiting.add(run)
                self._say_status()
            case RunStarted():
                self._say(known, sequence.begin(at))
            case OutputStored():
                known.stored = recorded.position
                if sequence.waits_for_files:
                    await self._name(run, known)
                    self._say(known, sequence.tell([], known.names, at))
            case RunAttemptLost() | RunRequeued():
                sequence.lost()
            case RunSucceeded(course=course):
                await self._name(run, known)
                await self._end(run, known, sequence.succeed(course, known.names, at), recorded)
            case RunFailed(failure=failure, course=course):
                await self._end(run, known, sequence.fail(failure, course, at), recorded)
            case RunCancelled():
                await self._end(run, known, sequence.interrupt(at, await self._graph(known)), recorded)
            case RunDeleted():
                self._waiting.discard(run)

    async def _end(self, run: RunId, known: _Known, said: list[Message], recorded: AnyRecorded) -> None:
        """It is in the history before its client is told that it is over."""
        self._waiting.discard(run)
        if known.client and self._of(known.client) is not None:
            await Reader(self._parts.reads, self._account, recorded.position).caught_up("prompts")
            await Reader(self._parts.reads, self._account, known.stored).caught_up("output_names")
        self._say(known, said)
        self._say_status()
        if said:
            self._say(known, [known.sequence.done()])

    async def _told(self, run: RunId, epoch: int, raw: Iterable[msgspec.Raw]) -> None:
        known = self._known.get(run) or await self._learn(run)
        if known is not None and epoch > known.state.epoch:
            await self._read_on(run, known.version)  # this came before the fact that the attempt began
        if known is None or epoch != known.state.epoch or not known.client:
            return
        messages = [protocol.decode_message(bytes(each)) for each in raw]
        heard = [each for each in messages if not isinstance(each, protocol.Unknown)]
        at = milliseconds(self._parts.now())
        said = known.sequence.tell(heard, known.names, at)
        if known.sequence.waits_for_files and known.stored:
            await self._name(run, known)
            said += known.sequence.tell([], known.names, at)
        self._say(known, said)

    def _show(self, run: RunId, image: bytes, media_type: str, node: str) -> None:
        known = self._known.get(run)
        if known is not None and known.client and (listener := self._of(known.client)) is not None:
            listener.show(image, media_type, node or known.sequence.node or "", known.sequence.prompt)

    async def _name(self, run: RunId, known: _Known) -> None:
        """What its files are called, as far as they are kept."""
        if not known.client or not known.state.outputs or self._of(known.client) is None:
            return
        reader = Reader(self._parts.reads, self._account, known.stored)
        found: dict[RunId, Names] = await reader.ask(output_names.of_runs, [run])
        known.names = found.get(run, {})

    async def _graph(self, known: _Known) -> msgspec.Raw:
        body = await self._parts.commands.needs.contents.get(known.graph) if known.graph else None
        return msgspec.Raw(body or b"{}")

    async def _reader(self) -> Reader:
        return Reader(self._parts.reads, self._account, await self._parts.own.head())

    def _say(self, known: _Known, said: Iterable[Message]) -> None:
        if known.client and (listener := self._of(known.client)) is not None:
            for message in said:
                listener.say(message)

    def _of(self, client: str) -> Listener | None:
        """The newest of its sockets."""
        return next((each for each in reversed(self._listeners) if each.sid == client), None)

    def _say_status(self) -> None:
        status = self._status()
        for listener in self._listeners:
            listener.say(status)

    def _status(self, sid: str | None = None) -> Message:
        queue = QueueStatus(QueueLength(len(self._waiting)))
        return protocol.Status(StatusBody(queue, sid))


class Desks:
    """Of one process. One is opened with an account's first socket, and stays a while after the last."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._desks: dict[AccountId, Desk] = {}
        self._leaving: dict[AccountId, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def seat(self, account: AccountId) -> AsyncIterator[Desk]:
        if account not in self._desks:
            self._desks[account] = Desk(account, self._parts)
        if (timer := self._leaving.pop(account, None)) is not None:
            timer.cancel()
        desk = self._desks[account]
        try:
            yield desk
        finally:
            if desk.empty and account not in self._leaving:
                loop = asyncio.get_running_loop()
                self._leaving[account] = loop.call_later(STAYS_S, self._close, account)

    def _close(self, account: AccountId) -> None:
        self._leaving.pop(account, None)
        if (desk := self._desks.get(account)) is None or not desk.empty:
            return
        del self._desks[account]
        task = asyncio.create_task(desk.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
