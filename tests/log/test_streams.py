"""Load, decide, append, and decide again when somebody was faster."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from msgspec import Struct

from adapters.memory.log import MemoryLog
from commands.ports import Appended, Entry, OutcomeUnknownError, Outdated, Snapshot
from commands.streams import ATTEMPTS, NOTHING, SNAPSHOT_EVERY, Accepted, Change, Context, Source, Streams
from domain.event import AnyRecorded
from domain.ids import Position, StreamId
from domain.refusals import Conflict, NotFound
from domain.reservation import RESERVATION, NameReserved, Reservation, ReservationEvent, release, reserve
from domain.workflow import WORKFLOW
from tests.log.ground import ACTOR, ANN, BOB, RELEASED, RESERVED, entry, key, now, write

AnnsTake = Change[Reservation, ReservationEvent]


class CountingLog(MemoryLog):
    """Counts what is read, and may lose an answer."""

    def __init__(self) -> None:
        super().__init__(now)
        self.loads = 0
        self.events_read = 0
        self.losing = False

    async def load(self, stream: StreamId) -> tuple[Snapshot | None, Sequence[AnyRecorded]]:
        self.loads += 1
        snapshot, events = await super().load(stream)
        self.events_read += len(events)
        return snapshot, events

    async def append(self, entry: Entry) -> Appended:
        appended = await super().append(entry)
        if self.losing:
            raise OutcomeUnknownError
        return appended


class Ground(Struct):
    log: CountingLog
    ours: Streams
    others: Streams
    """Another process with a cache of its own."""


@pytest.fixture
def ground() -> Ground:
    log = CountingLog()
    return Ground(log, Streams(log), Streams(log))


def context(name: str | None = None, request: bytes = b"request") -> Context:
    return Context(actor=ACTOR, correlation=uuid4(), key=key(name, request) if name else None)


def take(stream: UUID, account: Any = ANN, **more: Any) -> AnnsTake:
    return Change(RESERVATION, stream, lambda state: reserve(state, account=account, what="name"), **more)


def give_back(stream: UUID, account: Any = ANN) -> AnnsTake:
    return Change(RESERVATION, stream, lambda state: release(state, account=account))


async def test_a_decision_is_appended(ground: Ground) -> None:
    stream = uuid4()
    assert await ground.ours.transact(context(), take(stream)) == Accepted(Position(1), Position(1))
    (only,) = await ground.log.read(stream)
    assert (only.event, only.actor, only.owner) == (RESERVED, ACTOR, ANN)
    assert await ground.ours.load(RESERVATION, stream) == (Reservation(holder=ANN), 1)


async def test_a_known_state_is_not_read_again(ground: Ground) -> None:
    stream = uuid4()
    await ground.ours.transact(context(), take(stream))
    read = ground.log.loads
    await ground.ours.transact(context(), give_back(stream))
    await ground.ours.transact(context(), take(stream))
    assert ground.log.loads == read


async def test_a_new_stream_is_not_read_at_all(ground: Ground) -> None:
    await ground.ours.transact(context(), take(uuid4(), new=True))
    assert ground.log.loads == 0


async def test_who_was_too_slow_decides_again(ground: Ground) -> None:
    stream = uuid4()
    await ground.ours.transact(context(), take(stream))
    await ground.others.transact(context(), give_back(stream))
    await ground.others.transact(context(), take(stream))
    await ground.ours.transact(context(), give_back(stream))  # decided on version 1 first
    assert [each.version for each in await ground.log.read(stream)] == [1, 2, 3, 4]


async def test_a_refusal_on_an_old_state_is_thought_over(ground: Ground) -> None:
    stream = uuid4()
    await ground.ours.transact(context(), take(stream))
    await ground.others.transact(context(), give_back(stream))
    accepted = await ground.ours.transact(context(), take(stream, BOB))
    assert accepted.position == 3


async def test_an_empty_decision_on_an_old_state_is_thought_over(ground: Ground) -> None:
    stream = uuid4()
    await ground.ours.transact(context(), take(stream))
    await ground.others.transact(context(), give_back(stream))
    assert (await ground.ours.transact(context(), take(stream))).position == 3


async def test_a_refusal_that_stands_is_raised(ground: Ground) -> None:
    stream = uuid4()
    await ground.others.transact(context(), take(stream))
    with pytest.raises(Conflict, match="already taken"):
        await ground.ours.transact(context(), take(stream, BOB))


async def test_what_changes_nothing_writes_nothing(ground: Ground) -> None:
    stream = uuid4()
    await ground.ours.transact(context(), take(stream))
    assert await ground.ours.transact(context(), take(stream)) == NOTHING
    assert await ground.log.head() == 1


async def test_several_streams_change_together_or_not(ground: Ground) -> None:
    mine, taken = uuid4(), uuid4()
    await ground.others.transact(context(), take(taken, BOB))
    with pytest.raises(Conflict):
        await ground.ours.transact(context(), take(mine), take(taken))
    assert await ground.log.read(mine) == []


async def test_a_decision_is_renewed_when_its_source_has_moved_on(ground: Ground) -> None:
    source, target = uuid4(), uuid4()
    seen: list[Any] = []

    def follow(state: Reservation, given: Reservation) -> list[ReservationEvent]:
        seen.append(given.holder)
        return [NameReserved(account=given.holder)] if given.holder else []

    await ground.ours.transact(context(), take(source))
    await ground.others.transact(context(), give_back(source))
    await ground.others.transact(context(), take(source, BOB))
    await ground.ours.transact(
        context(), Change(RESERVATION, target, follow, given=(Source(RESERVATION, source),), new=True)
    )
    assert seen == [ANN, BOB]
    assert (await ground.ours.load(RESERVATION, target))[0].holder == BOB


async def test_whoever_is_always_too_slow_is_told_so(ground: Ground) -> None:
    stream, decided = uuid4(), 0

    class Racing(CountingLog):
        async def append(self, entry: Entry) -> Appended:
            version = len(await self.read(stream))
            await super().append(Entry(writes=(write(stream, version),), actor=ACTOR, correlation=uuid4()))
            return await super().append(entry)

    def decide(state: Reservation) -> list[ReservationEvent]:
        nonlocal decided
        decided += 1
        return [RESERVED]

    with pytest.raises(Conflict, match="Too many changes"):
        await Streams(Racing()).transact(context(), Change(RESERVATION, stream, decide))
    assert decided == ATTEMPTS


async def test_a_request_repeated_is_answered_the_same(ground: Ground) -> None:
    stream = uuid4()
    first = await ground.ours.transact(context("once"), take(stream), take(uuid4()))
    again = await ground.ours.transact(context("once"), take(stream, BOB))
    assert (again.repeated, again.first, again.position) == (True, first.first, first.position)
    assert await ground.log.head() == 2


async def test_after_an_unknown_outcome_the_log_is_asked(ground: Ground) -> None:
    stream = uuid4()
    await ground.ours.load(RESERVATION, stream)
    ground.log.losing = True
    with pytest.raises(OutcomeUnknownError):
        await ground.ours.transact(context("once"), take(stream))
    ground.log.losing = False
    again = await ground.ours.transact(context("once"), take(stream))
    assert (again.repeated, again.first) == (True, 1)
    assert await ground.ours.transact(context(), take(stream)) == NOTHING


async def test_who_has_seen_an_older_version_is_told_so(ground: Ground) -> None:
    stream = uuid4()
    await ground.ours.transact(context(), take(stream))
    await ground.ours.transact(context(), give_back(stream))
    with pytest.raises(Outdated):
        await ground.ours.transact(context(), take(stream, expected=1))
    assert (await ground.ours.transact(context(), take(stream, expected=2))).position == 3


async def test_an_id_of_something_else_is_no_id(ground: Ground) -> None:
    stream = uuid4()
    await ground.ours.transact(context(), take(stream))
    for streams in (ground.ours, ground.others):
        with pytest.raises(NotFound, match="no such workflow"):
            await streams.load(WORKFLOW, stream)


async def history(log: MemoryLog, length: int) -> StreamId:
    stream = uuid4()
    for version in range(0, length, 2):
        await log.append(entry(write(stream, version, RESERVED, RELEASED)))
    return stream


async def test_a_long_stream_is_read_from_its_snapshot(ground: Ground) -> None:
    stream = await history(ground.log, SNAPSHOT_EVERY)
    assert await ground.ours.load(RESERVATION, stream) == (Reservation(), SNAPSHOT_EVERY)
    await ground.log.append(entry(write(stream, SNAPSHOT_EVERY)))
    ground.log.events_read = 0
    assert await ground.others.load(RESERVATION, stream) == (Reservation(holder=ANN), SNAPSHOT_EVERY + 1)
    assert ground.log.events_read == 1


@pytest.mark.parametrize(
    ("shape", "state"),
    [
        ("Reservation.0", msgspec.msgpack.encode({"holder": str(BOB)})),
        ("Reservation.1", msgspec.msgpack.encode({"holder": 7})),
    ],
)
async def test_a_snapshot_of_another_shape_is_not_believed(ground: Ground, shape: str, state: bytes) -> None:
    stream = await history(ground.log, 2)
    await ground.log.keep_snapshot(stream, Snapshot(1, shape, state))
    assert await ground.ours.load(RESERVATION, stream) == (Reservation(), 2)


async def test_only_so_many_states_are_kept() -> None:
    log, streams = CountingLog(), [uuid4() for _ in range(4)]
    small = Streams(log, cached_states=3)
    for stream in streams:
        await small.transact(context(), take(stream, new=True))
    await small.transact(context(), give_back(streams[3]))
    assert log.loads == 0
    await small.transact(context(), give_back(streams[0]))
    assert log.loads == 1


async def test_what_was_learned_need_not_be_read(ground: Ground) -> None:
    stream = uuid4()
    await ground.others.transact(context(), take(stream))
    ground.ours.learn(RESERVATION, stream, 1, RESERVED)
    assert (await ground.ours.transact(context(), give_back(stream))).position == 2
    assert ground.log.loads == 1  # the others'


async def test_a_gap_teaches_nothing(ground: Ground) -> None:
    stream = uuid4()
    await ground.others.transact(context(), take(stream))
    await ground.others.transact(context(), give_back(stream))
    ground.ours.learn(RESERVATION, stream, 2, RELEASED)
    with pytest.raises(Conflict):
        await ground.ours.transact(context(), Change(RESERVATION, stream, _never))


def _never(state: Reservation) -> list[ReservationEvent]:
    assert state == Reservation(), "folded from the log"
    raise Conflict("no")
