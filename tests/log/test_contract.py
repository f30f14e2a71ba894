"""What a log must do, in Postgres as in memory."""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from commands.ports import (
    MAX_EVENT_BYTES,
    Appended,
    EventTooLarge,
    KeyReused,
    Snapshot,
    StaleStreamError,
)
from domain.catalogue import CATALOGUE, Catalogue, UnknownTopicError
from domain.event import Event, topic
from domain.ids import Position
from domain.workflow import WorkflowDescribed, WorkflowRenamed
from tests.log.ground import ACTOR, ANN, BOB, RELEASED, RESERVED, Logs, entry, guard, key, write


class NameTaken(Event, frozen=True, kw_only=True, tag="tests.name_taken.v1"):
    holder: str


class NameTakenByAccount(Event, frozen=True, kw_only=True, tag="tests.name_taken.v2"):
    account: str
    since: int = 0


def described(state_bytes: int) -> WorkflowDescribed:
    """An event whose stored form has exactly that many bytes."""
    return WorkflowDescribed(
        description="x" * (state_bytes - len(CATALOGUE.encode(WorkflowDescribed(description=""))))
    )


async def test_what_is_appended_can_be_read(logs: Logs) -> None:
    stream = uuid4()
    before = datetime.now(UTC)
    wish = entry(write(stream, 0, RESERVED, RELEASED))
    assert await logs.log.append(wish) == Appended(Position(1), Position(2))
    first, second = await logs.log.read(stream)
    assert (first.position, first.version, first.event) == (1, 1, RESERVED)
    assert (second.position, second.version, second.event) == (2, 2, RELEASED)
    assert (first.stream, first.owner, first.actor) == (stream, ANN, ACTOR)
    assert (first.correlation, first.causation) == (wish.correlation, None)
    assert abs((first.at - before).total_seconds()) < 60
    assert first.at.tzinfo is not None


async def test_a_stream_is_read_from_any_version(logs: Logs) -> None:
    stream = uuid4()
    await logs.append(write(stream, 0, RESERVED, RELEASED, RESERVED))
    assert [each.version for each in await logs.log.read(stream, after=1)] == [2, 3]
    assert not await logs.log.read(stream, after=3)
    assert not await logs.log.read(uuid4())


async def test_an_event_is_found_at_its_position(logs: Logs) -> None:
    stream = uuid4()
    await logs.append(write(stream, 0, RESERVED, RELEASED))
    found = await logs.log.at(Position(2))
    assert found is not None
    assert (found.stream, found.event) == (stream, RELEASED)
    assert await logs.log.at(Position(3)) is None
    assert await logs.log.at(Position(0)) is None


async def test_a_writer_who_knows_an_old_version_is_refused(logs: Logs) -> None:
    stream = uuid4()
    await logs.append(write(stream, 0))
    for expected in (0, 2):
        with pytest.raises(StaleStreamError):
            await logs.append(write(stream, expected))
    assert await logs.append(write(stream, 1)) == Appended(Position(2), Position(2))


async def test_several_streams_are_written_all_or_none(logs: Logs) -> None:
    first, second = uuid4(), uuid4()
    await logs.append(write(first, 0), write(second, 0))
    with pytest.raises(StaleStreamError):
        await logs.append(write(first, 1), write(second, 0))
    assert len(await logs.log.read(first)) == 1
    assert await logs.append(write(second, 1), write(first, 1, RESERVED, RELEASED)) == Appended(
        Position(3), Position(5)
    )
    assert [each.stream for each in await logs.everything()] == [first, second, second, first, first]


async def test_a_decision_that_rests_on_a_moved_stream_is_refused(logs: Logs) -> None:
    source, target = uuid4(), uuid4()
    await logs.append(write(source, 0))
    await logs.append(write(target, 0), guard(source, 1))
    await logs.append(write(source, 1))
    with pytest.raises(StaleStreamError):
        await logs.append(write(target, 1), guard(source, 1))
    await logs.append(write(target, 1), guard(source, 2), guard(uuid4(), 0))
    assert len(await logs.log.read(source)) == 2


async def test_an_entry_without_events_is_a_mistake(logs: Logs) -> None:
    with pytest.raises(ValueError, match="without events"):
        await logs.append(guard(uuid4(), 0))


async def test_of_many_at_once_each_fails_alone(logs: Logs) -> None:
    taken, streams = uuid4(), [uuid4() for _ in range(100)]
    await logs.append(write(taken, 0))
    ends = await asyncio.gather(
        *[
            logs.append(write(taken if number % 5 == 0 else stream, 0, RESERVED, RELEASED))
            for number, stream in enumerate(streams)
        ],
        return_exceptions=True,
    )
    assert [isinstance(end, StaleStreamError) for end in ends] == [number % 5 == 0 for number in range(100)]
    granted = [end for end in ends if isinstance(end, Appended)]
    assert all(each.last == each.first + 1 for each in granted)
    assert len(await logs.everything()) == await logs.tail.head() == 161


async def test_positions_have_no_gaps_and_follow_the_versions(logs: Logs) -> None:
    streams = [uuid4() for _ in range(20)]

    async def writer(number: int) -> None:
        for version in range(10):
            await logs.append(write(streams[number], version))

    async def loser() -> None:
        for _ in range(10):
            with pytest.raises(StaleStreamError):
                await logs.append(write(uuid4(), 0), write(streams[0], 99))

    await asyncio.gather(*[writer(number) for number in range(20)], *[loser() for _ in range(5)])
    rows = await logs.everything()
    assert [row.position for row in rows] == list(range(1, 201))
    for stream in streams:
        assert [row.version for row in rows if row.stream == stream] == list(range(1, 11))
    assert all(earlier.at <= later.at for earlier, later in pairwise(rows))


async def test_of_many_on_one_stream_one_wins_each_version(logs: Logs) -> None:
    stream = uuid4()
    ends = await asyncio.gather(*[logs.append(write(stream, 0)) for _ in range(30)], return_exceptions=True)
    assert sum(isinstance(end, Appended) for end in ends) == 1
    assert sum(isinstance(end, StaleStreamError) for end in ends) == 29


async def test_a_writer_does_not_overtake_another_on_the_same_stream(logs: Logs) -> None:
    stream = uuid4()
    ends = await asyncio.gather(*[logs.append(write(stream, version)) for version in range(20)])
    assert [end.first for end in ends] == list(range(1, 21))


async def test_a_repeated_request_is_answered_with_what_it_wrote(logs: Logs) -> None:
    first = await logs.append(write(uuid4(), 0, RESERVED, RELEASED), key=key("once"))
    again = await logs.append(write(uuid4(), 0, RESERVED, RELEASED), key=key("once"))
    assert not first.repeated
    assert (again.repeated, again.first) == (True, first.first)
    assert await logs.tail.head() == 2
    assert await logs.log.answered(key("once")) == first.first
    assert await logs.log.answered(key("never")) is None


async def test_a_repeat_counts_before_the_version_does(logs: Logs) -> None:
    stream = uuid4()
    first = await logs.append(write(stream, 0), key=key("once"))
    again = await logs.append(write(stream, 0), key=key("once"))
    assert (again.repeated, again.first) == (True, first.first)


async def test_a_key_with_another_request_is_refused(logs: Logs) -> None:
    await logs.append(write(uuid4(), 0), key=key("once"))
    with pytest.raises(KeyReused):
        await logs.append(write(uuid4(), 0), key=key("once", b"another"))
    with pytest.raises(KeyReused):
        await logs.log.answered(key("once", b"another"))
    assert await logs.tail.head() == 1


async def test_the_same_key_sent_many_times_at_once_writes_once(logs: Logs) -> None:
    ends = await asyncio.gather(*[logs.append(write(uuid4(), 0), key=key("once")) for _ in range(20)])
    assert sorted(end.repeated for end in ends) == [False] + [True] * 19
    assert {end.first for end in ends} == {1}
    assert await logs.tail.head() == 1


async def test_a_refused_command_leaves_its_key_free(logs: Logs) -> None:
    stream = uuid4()
    await logs.append(write(stream, 0))
    with pytest.raises(StaleStreamError):
        await logs.append(write(stream, 0), key=key("once"))
    assert not (await logs.append(write(stream, 1), key=key("once"))).repeated


async def test_repeats_stale_and_fresh_commands_share_a_batch(logs: Logs) -> None:
    taken = uuid4()
    known = await logs.append(write(taken, 0), key=key("known"))
    ends: Any = await asyncio.gather(
        logs.append(write(uuid4(), 0, RESERVED, RELEASED), key=key("a")),
        logs.append(write(uuid4(), 0), key=key("known")),
        logs.append(write(taken, 0), key=key("b")),
        logs.append(write(uuid4(), 0), key=key("known", b"another")),
        logs.append(write(uuid4(), 0), key=key("c")),
        return_exceptions=True,
    )
    assert ends[0] == Appended(Position(2), Position(3))
    assert (ends[1].repeated, ends[1].first) == (True, known.first)
    assert isinstance(ends[2], StaleStreamError)
    assert isinstance(ends[3], KeyReused)
    assert ends[4] == Appended(Position(4), Position(4))
    assert [await logs.log.answered(key(name)) for name in ("a", "b", "c")] == [2, None, 4]


async def test_an_event_of_64_kib_is_refused_alone(logs: Logs) -> None:
    large, fits, beside = uuid4(), uuid4(), uuid4()
    ends = await asyncio.gather(
        logs.append(write(beside, 0)),
        logs.append(write(large, 0, described(MAX_EVENT_BYTES))),
        logs.append(write(fits, 0, described(MAX_EVENT_BYTES - 1))),
        return_exceptions=True,
    )
    assert isinstance(ends[1], EventTooLarge)
    assert await logs.tail.head() == 2
    assert [len(row.state) for row in await logs.everything()][1] == MAX_EVENT_BYTES - 1


async def test_many_large_events_at_once_are_written(logs: Logs) -> None:
    """Together more than any buffer on the way holds."""
    large = described(MAX_EVENT_BYTES - 1)
    ends = await asyncio.gather(*[logs.append(write(uuid4(), 0, large)) for _ in range(200)])
    assert sorted(end.first for end in ends) == list(range(1, 201))
    assert sum([len(row.state) for row in await logs.everything()]) == 200 * (MAX_EVENT_BYTES - 1)


async def test_text_of_any_script_comes_back(logs: Logs) -> None:
    stream, name = uuid4(), "工作流 ✨ \u0000 \U0001f9ea"
    await logs.append(write(stream, 0, WorkflowRenamed(name=name)))
    (only,) = await logs.log.read(stream)
    assert only.event == WorkflowRenamed(name=name)


async def test_loading_begins_at_the_newest_snapshot(logs: Logs) -> None:
    stream = uuid4()
    await logs.append(write(stream, 0, RESERVED, RELEASED, RESERVED))
    assert (await logs.log.load(stream))[0] is None
    kept = Snapshot(2, "Reservation.1", b"state")
    await logs.log.keep_snapshot(stream, Snapshot(1, "Reservation.1", b"older"))
    await logs.log.keep_snapshot(stream, kept)
    await logs.log.keep_snapshot(stream, kept)
    snapshot, events = await logs.log.load(stream)
    assert snapshot == kept
    assert [each.version for each in events] == [3]
    assert await logs.log.load(uuid4()) == (None, [])


async def test_a_late_snapshot_does_not_hide_a_newer_one(logs: Logs) -> None:
    stream = uuid4()
    await logs.append(write(stream, 0, RESERVED, RELEASED))
    await logs.log.keep_snapshot(stream, Snapshot(2, "Reservation.1", b"newer"))
    await logs.log.keep_snapshot(stream, Snapshot(1, "Reservation.1", b"older"))
    snapshot, _ = await logs.log.load(stream)
    assert snapshot is not None
    assert snapshot.version == 2


async def test_the_log_is_followed_in_order(logs: Logs) -> None:
    await logs.append(write(uuid4(), 0, RESERVED, RELEASED, RESERVED))
    assert [row.position for row in await logs.tail.rows(Position(1), 10)] == [2, 3]
    assert [row.position for row in await logs.tail.rows(Position(0), 2)] == [1, 2]
    assert not await logs.tail.rows(Position(3), 10)
    (row,) = await logs.tail.rows(Position(2), 1)
    assert (row.topic, row.owner, row.actor, row.version) == (topic(RESERVED), ANN, ACTOR, 3)
    assert CATALOGUE.decode(row.topic, row.state) == RESERVED


async def test_a_follower_is_woken(logs: Logs) -> None:
    await logs.tail.grown(0.01)  # from here on it is told
    woken = asyncio.create_task(logs.tail.grown(30))
    await asyncio.sleep(0)
    await logs.append(write(uuid4(), 0))
    await asyncio.wait_for(woken, 10)


async def test_an_old_topic_is_read_as_the_one_that_replaced_it(opened: Any) -> None:
    stream = uuid4()
    old = Catalogue([NameTaken])
    new = Catalogue(
        [NameTakenByAccount],
        {"tests.name_taken.v1": ("tests.name_taken.v2", lambda fields: {"account": fields["holder"]})},
    )
    async with opened(old) as logs:
        await logs.append(write(stream, 0, NameTaken(holder=str(BOB))))
    async with opened(new) as logs:
        (only,) = await logs.log.read(stream)
        assert only.event == NameTakenByAccount(account=str(BOB))
    async with opened(Catalogue([NameTakenByAccount])) as logs:
        with pytest.raises(UnknownTopicError):
            await logs.log.read(stream)
