"""Load, decide, append, and decide again when somebody was faster."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from commands.ports import (
    Appended,
    Entry,
    EventLog,
    Outdated,
    RequestKey,
    Snapshot,
    StaleStreamError,
    Write,
)
from domain.event import AnyDecider, Decider, Event, kind, topic
from domain.ids import Actor, Position, StreamId
from domain.refusals import Conflict, DomainError, NotFound

logger = logging.getLogger(__name__)

S = TypeVar("S")
E = TypeVar("E", bound=Event)

ATTEMPTS = 6  # two writers meet rarely; six in a row mean that the stream is too coarse
CACHED_STATES = 20_000  # about 1 kB each
OUTDATED = "It has changed since you looked at it. Look again, then decide."
SNAPSHOT_EVERY = 100  # events; reading a hundred costs about as much as reading a snapshot


class Context(Struct, frozen=True, kw_only=True):
    """Who wants it, as part of what, because of which event, and the client's idempotency key."""

    actor: Actor
    correlation: UUID
    causation: Position | None = None
    key: RequestKey | None = None


class Contended(Conflict):
    """Others were faster, each time."""


class Source(Struct, Generic[S, E], frozen=True):
    """A stream that a decision about another one rests on."""

    decider: Decider[S, E]
    stream: StreamId


class Change(Struct, Generic[S, E], frozen=True):
    """A decision about one stream. `decide` is called with its state, then with those of the sources in `given`.

    When a source has moved on by the time of the append, it is decided again.
    """

    decider: Decider[S, E]
    stream: StreamId
    decide: Callable[..., Sequence[E]]
    given: tuple[Source[Any, Any], ...] = ()
    new: bool = False
    """The stream's id was made just now: there is nothing to load."""
    expected: int | None = None
    """The stream's version that the one who asks has seen; None: whatever it is."""


class Held(Struct, frozen=True):
    """A state and the stream version it was folded to."""

    state: Any
    version: int


class _Plan(Struct, frozen=True):
    """A change with the states it is decided on."""

    change: Change[Any, Any]
    held: Held
    given: tuple[Held, ...]

    def decide(self) -> tuple[Event, ...]:
        decided = self.change.decide(self.held.state, *(known.state for known in self.given))
        if self.change.expected not in (None, self.held.version):
            raise Outdated(OUTDATED)
        return tuple(decided)


class Accepted(Struct, frozen=True):
    """A granted wish. `position` is its last event's place; 0 when nothing had to change.

    `repeated`: the same request was granted before, at `first`; nothing was written now.
    """

    position: Position
    first: Position
    repeated: bool = False


NOTHING = Accepted(Position(0), Position(0))


class Streams:
    """The aggregates of one process: their last known states over the log."""

    def __init__(self, log: EventLog, cached_states: int = CACHED_STATES) -> None:
        self.log = log
        self._cached_states = cached_states
        self._states: OrderedDict[StreamId, Held] = OrderedDict()
        self._turns: WeakValueDictionary[StreamId, asyncio.Lock] = WeakValueDictionary()

    async def load(self, decider: Decider[S, E], stream: StreamId) -> tuple[S, int]:
        """The aggregate as the log has it now, and its version."""
        held = await self._fresh(decider, stream)
        return held.state, held.version

    def turn(self, stream: StreamId) -> asyncio.Lock:
        """Of one stream, for those who change it many times at once: else they would meet again and again."""
        lock = self._turns.get(stream)
        if lock is None:
            lock = self._turns[stream] = asyncio.Lock()
        return lock

    def learn(self, decider: Decider[S, E], stream: StreamId, version: int, event: E) -> None:
        """Take in an event of the log that was met elsewhere, so that it need not be read for the next decision."""
        held = self._states.get(stream)
        if held is None and version == 1:
            held = Held(decider.initial, 0)
        if held is not None and held.version + 1 == version:
            self._keep(stream, Held(decider.fold(held.state, [event]), version))

    async def transact(self, context: Context, *changes: Change[Any, Any]) -> Accepted:
        """Append what the decisions say, all or nothing. Raises what they refuse, KeyReused, the log's faults.

        A repeat is found by the append itself, or, when there is nothing to append any more, before the answer.
        """
        fresh = False
        for _ in range(ATTEMPTS):
            plans = [await self._plan(change, fresh=fresh) for change in changes]
            fresh_already, fresh = fresh, True
            try:
                decided = [plan.decide() for plan in plans]
            except DomainError:
                if not fresh_already:
                    continue  # the refusal may rest on an old state
                if (answer := await self.answered(context)) is not None:
                    return answer  # it was granted while we were deciding
                raise
            if not any(decided):
                if fresh_already:
                    return await self.answered(context) or NOTHING  # perhaps we have just done it
                continue
            try:
                return await self._append(context, plans, decided)
            except StaleStreamError:
                logger.debug(
                    "decided on an old state", extra={"streams": [change.stream for change in changes]}
                )
        raise Contended("Too many changes to this at once. Please try again.")

    async def answered(self, context: Context) -> Accepted | None:
        """What the same request was answered before, if it was. Raises KeyReused."""
        if context.key is None or (first := await self.log.answered(context.key)) is None:
            return None
        return await self._repeated(first)

    async def _plan(self, change: Change[Any, Any], *, fresh: bool) -> "_Plan":
        held = Held(change.decider.initial, 0)
        if not change.new:
            held = await self._held(change.decider, change.stream, fresh=fresh)
        given = [await self._held(each.decider, each.stream, fresh=fresh) for each in change.given]
        return _Plan(change, held, tuple(given))

    async def _append(
        self, context: Context, plans: Sequence["_Plan"], decided: Sequence[tuple[Event, ...]]
    ) -> Accepted:
        writes: list[Write] = []
        outcomes: list[tuple[StreamId, Held]] = []
        for plan, events in zip(plans, decided, strict=True):
            if not events:
                continue
            decider, stream = plan.change.decider, plan.change.stream
            state = decider.fold(plan.held.state, events)
            writes.append(Write(stream, plan.held.version, events, decider.owner(state)))
            outcomes.append((stream, Held(state, plan.held.version + len(events))))
            for source, known in zip(plan.change.given, plan.given, strict=True):
                writes.append(Write(source.stream, known.version, (), None))
        entry = Entry(
            writes=tuple(writes),
            actor=context.actor,
            correlation=context.correlation,
            causation=context.causation,
            key=context.key,
        )
        for stream, _ in outcomes:
            self._states.pop(stream, None)  # until the outcome is known, the log alone knows the state
        appended: Appended = await self.log.append(entry)
        if appended.repeated:
            return await self._repeated(appended.first)
        for stream, outcome in outcomes:
            self._keep(stream, outcome)
        return Accepted(appended.last, appended.first)

    async def _repeated(self, first: Position) -> Accepted:
        """What was answered then: a request's events are consecutive and share their correlation."""
        granted, last = await self.log.at(first), first
        while granted is not None:
            following = await self.log.at(Position(last + 1))
            if following is None or following.correlation != granted.correlation:
                break
            last = following.position
        return Accepted(last, first, repeated=True)

    async def _held(self, decider: AnyDecider, stream: StreamId, *, fresh: bool) -> Held:
        held = self._states.get(stream)
        if not fresh and held is not None and isinstance(held.state, type(decider.initial)):
            self._states.move_to_end(stream)
            return held
        return await self._fresh(decider, stream)

    async def _fresh(self, decider: AnyDecider, stream: StreamId) -> Held:
        state, version = decider.initial, 0
        snapshot, events = await self.log.load(stream)
        if snapshot is not None and (kept := _opened(snapshot, decider)) is not None:
            state, version = kept, snapshot.version
        elif snapshot is not None:
            events = await self.log.read(stream)
        if any(kind(topic(recorded.event)) != decider.kind for recorded in events):
            raise NotFound(f"There is no such {decider.kind}.")  # an id of something else
        state = decider.fold(state, [recorded.event for recorded in events])
        version += len(events)
        if len(events) >= SNAPSHOT_EVERY:
            made = Snapshot(version, _shape(decider), msgspec.msgpack.encode(state))
            await self.log.keep_snapshot(stream, made)
        held = Held(state, version)
        self._keep(stream, held)
        return held

    def _keep(self, stream: StreamId, held: Held) -> None:
        self._states[stream] = held
        self._states.move_to_end(stream)
        while len(self._states) > self._cached_states:
            self._states.popitem(last=False)


def _shape(decider: AnyDecider) -> str:
    return f"{type(decider.initial).__name__}.{decider.shape}"


def _opened(snapshot: Snapshot, decider: AnyDecider) -> Any:
    """Its state, or None when it is of another shape: then the events tell the whole story."""
    if snapshot.shape != _shape(decider):
        return None
    try:
        return msgspec.msgpack.decode(snapshot.state, type=type(decider.initial))
    except msgspec.ValidationError:
        logger.warning("a snapshot is not of the shape it claims", extra={"shape": snapshot.shape})
        return None
