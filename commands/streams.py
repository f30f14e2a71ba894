"""Load, decide, append, and decide again when somebody was faster."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from commands.ports import Appended, Entry, EventLog, RequestKey, Snapshot, StaleStreamError, Write
from domain.event import AnyDecider, Decider, Event
from domain.ids import Actor, Position, StreamId
from domain.refusals import Conflict, DomainError

logger = logging.getLogger(__name__)

S = TypeVar("S")
E = TypeVar("E", bound=Event)

ATTEMPTS = 6  # two writers meet rarely; six in a row mean that the stream is too coarse
CACHED_STATES = 20_000  # about 1 kB each
SNAPSHOT_EVERY = 100  # events; reading a hundred costs about as much as reading a snapshot


class Context(Struct, frozen=True, kw_only=True):
    """Who wants it, as part of what, because of which event, and the client's idempotency key."""

    actor: Actor
    correlation: UUID
    causation: Position | None = None
    key: RequestKey | None = None


class Change(Struct, Generic[S, E], frozen=True):
    """A decision about one stream."""

    decider: Decider[S, E]
    stream: StreamId
    decide: Callable[[S], Sequence[E]]


class Held(Struct, frozen=True):
    """A state and the stream version it was folded to."""

    state: Any
    version: int
    cached: bool


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

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._states: OrderedDict[StreamId, Held] = OrderedDict()

    async def load(self, decider: Decider[S, E], stream: StreamId) -> tuple[S, int]:
        """The aggregate as the log has it now, and its version."""
        held = await self._fresh(decider, stream)
        return held.state, held.version

    async def peek(self, decider: Decider[S, E], stream: StreamId) -> tuple[S, int]:
        """The aggregate as this process last knew it: cheap, and good enough to act on what never changes."""
        held = await self._held(decider, stream, fresh=False)
        return held.state, held.version

    async def transact(self, context: Context, *changes: Change[Any, Any]) -> Accepted:
        """Append what the decisions say, all or nothing. Raises what they refuse, KeyReused, the log's faults."""
        if context.key is not None and (first := await self.log.answered(context.key)) is not None:
            return Accepted(first, first, repeated=True)
        fresh = False
        for _ in range(ATTEMPTS):
            held = [await self._held(change.decider, change.stream, fresh=fresh) for change in changes]
            try:
                decided = [tuple(change.decide(now.state)) for change, now in zip(changes, held, strict=True)]
            except DomainError:
                if not any(now.cached for now in held):
                    raise
                fresh = True  # the refusal may rest on an old state
                continue
            if not any(decided):
                if not any(now.cached for now in held):
                    return NOTHING
                fresh = True
                continue
            try:
                return await self._append(context, changes, held, decided)
            except StaleStreamError:
                fresh = True
        raise Conflict("Too many changes to this at once. Please try again.")

    async def _append(
        self,
        context: Context,
        changes: Sequence[Change[Any, Any]],
        held: Sequence[Held],
        decided: Sequence[tuple[Event, ...]],
    ) -> Accepted:
        states = [
            change.decider.fold(now.state, events)
            for change, now, events in zip(changes, held, decided, strict=True)
        ]
        writes = tuple(
            Write(change.stream, now.version, events, change.decider.owner(state))
            for change, now, events, state in zip(changes, held, decided, states, strict=True)
            if events
        )
        entry = Entry(
            writes=writes,
            actor=context.actor,
            correlation=context.correlation,
            causation=context.causation,
            key=context.key,
        )
        for change in changes:
            self._states.pop(change.stream, None)  # until the outcome is known, the log alone knows the state
        appended: Appended = await self.log.append(entry)
        if not appended.repeated:
            for change, now, events, state in zip(changes, held, decided, states, strict=True):
                self._keep(change.stream, Held(state, now.version + len(events), cached=True))
        return Accepted(appended.last, appended.first, appended.repeated)

    async def _held(self, decider: AnyDecider, stream: StreamId, *, fresh: bool) -> Held:
        if not fresh and (held := self._states.get(stream)) is not None:
            self._states.move_to_end(stream)
            return held
        return await self._fresh(decider, stream)

    async def _fresh(self, decider: AnyDecider, stream: StreamId) -> Held:
        state, version = decider.initial, 0
        snapshot, events = await self.log.load(stream)
        if snapshot is not None and snapshot.shape == _shape(decider):
            state = msgspec.msgpack.decode(snapshot.state, type=type(decider.initial))
            version = snapshot.version
        elif snapshot is not None:
            events = await self.log.read(stream)
        state = decider.fold(state, [recorded.event for recorded in events])
        version += len(events)
        if len(events) >= SNAPSHOT_EVERY:
            kept = Snapshot(version, _shape(decider), msgspec.msgpack.encode(state))
            await self.log.keep_snapshot(stream, kept)
        self._keep(stream, Held(state, version, cached=True))
        return Held(state, version, cached=False)

    def _keep(self, stream: StreamId, held: Held) -> None:
        self._states[stream] = held
        self._states.move_to_end(stream)
        while len(self._states) > CACHED_STATES:
            self._states.popitem(last=False)


def _shape(decider: AnyDecider) -> str:
    return f"{type(decider.initial).__name__}.{decider.shape}"
