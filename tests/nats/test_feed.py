import asyncio

import pytest
from msgspec.structs import replace

from adapters.nats.connection import Connection
from adapters.nats.events import STREAM, EventsSettings, NatsEventStream
from adapters.nats.feed import NatsFeed
from domain.event import AnyRecorded
from domain.ids import Position
from domain.run import RunStarted
from projections.projection import Undecodable
from tests.nats.conftest import Eventually, Server
from tests.nats.logs import ListLog, started

SOON = 2.0


@pytest.fixture
def log() -> ListLog:
    return ListLog()


@pytest.fixture
async def events(connection: Connection, log: ListLog) -> NatsEventStream:
    stream = NatsEventStream(connection)
    await stream.ensure(await log.identity(), Position(0))
    return stream


async def publish(events: NatsEventStream, log: ListLog, count: int) -> None:
    head = len(log.stored)
    await log.append(*started(count))
    await events.publish(log.stored[head:])


async def read(feed: NatsFeed, after: int, upto: int) -> list[AnyRecorded]:
    """As the runner does: again and again, each time behind what it has."""
    found: list[AnyRecorded] = []
    async with asyncio.timeout(20):
        while after < upto:
            batch = await feed.next(Position(after), 0.2)
            found += batch
            after = batch[-1].position if batch else after
    return found


def positions(found: list[AnyRecorded]) -> list[int]:
    return [recorded.position for recorded in found]


async def test_events_come_complete_and_in_order(
    connection: Connection, events: NatsEventStream, log: ListLog
) -> None:
    feed = NatsFeed(connection)
    await publish(events, log, 5000)
    assert positions(await read(feed, 0, 5000)) == list(range(1, 5001))
    await publish(events, log, 3)
    found = await read(feed, 5000, 5003)
    assert positions(found) == [5001, 5002, 5003]
    assert found[-1].event == RunStarted(epoch=3, backend="gpu-1")


async def test_a_new_event_wakes_the_reader(
    connection: Connection, events: NatsEventStream, log: ListLog
) -> None:
    feed = NatsFeed(connection)
    waiting = asyncio.create_task(feed.next(Position(0), 10))
    await publish(events, log, 1)
    async with asyncio.timeout(SOON):
        assert positions(await waiting) == [1]


async def test_a_silence_ends_after_the_time_out(connection: Connection, events: NatsEventStream) -> None:
    feed = NatsFeed(connection)
    async with asyncio.timeout(SOON):
        assert await feed.next(Position(0), 0.1) == []


async def test_events_that_are_gone_leave_a_gap(connection: Connection, log: ListLog) -> None:
    await log.append(*started(20))
    events = NatsEventStream(connection, EventsSettings(refill=5))
    assert await events.ensure(await log.identity(), Position(20)) == 15
    await events.publish(log.stored[15:])
    assert positions(await read(NatsFeed(connection), 3, 20)) == [16, 17, 18, 19, 20]


async def test_a_reader_may_go_back_and_jump_ahead(
    connection: Connection, events: NatsEventStream, log: ListLog
) -> None:
    feed = NatsFeed(connection)
    await publish(events, log, 4000)
    assert positions(await read(feed, 0, 100))[0] == 1
    assert (await feed.next(Position(10), SOON))[0].position == 11
    assert (await feed.next(Position(3990), SOON))[0].position == 3991


async def test_an_unknown_topic_stands_in_its_place(
    connection: Connection, events: NatsEventStream, log: ListLog
) -> None:
    await log.append(*started(3))
    log.stored[1] = replace(log.stored[1], topic="run.teleported.v1")
    log.stored[2] = replace(log.stored[2], state=b'{"epoch":"no number"}')
    await events.publish(log.stored)
    first, second, third = await read(NatsFeed(connection), 0, 3)
    assert first.event == RunStarted(epoch=1, backend="gpu-1")
    assert isinstance(second.event, Undecodable)
    assert second.event.topic_name == "run.teleported.v1"
    assert isinstance(third.event, Undecodable)
    assert (second.position, third.position) == (2, 3)


async def test_a_foreign_message_is_a_gap(
    connection: Connection, events: NatsEventStream, log: ListLog
) -> None:
    await publish(events, log, 2)
    await connection.client.jetstream().publish("events.run.x.forged.v1", b"{}")
    await log.append(*started(2))
    await events.publish(log.stored[3:])
    assert positions(await read(NatsFeed(connection), 0, 4)) == [1, 2, 4]


async def test_a_killed_server_is_a_silence_and_then_goes_on(
    connection: Connection, server: Server, events: NatsEventStream, log: ListLog
) -> None:
    feed = NatsFeed(connection)
    await publish(events, log, 10)
    await read(feed, 0, 10)
    server.kill()
    async with asyncio.timeout(SOON):
        assert await feed.next(Position(10), 0.3) == []
    server.start()
    while not connection.connected:
        await feed.next(Position(10), 0.05)
    await publish(events, log, 10)
    assert positions(await read(feed, 10, 20)) == list(range(11, 21))


async def test_a_stream_made_anew_is_followed(
    connection: Connection, events: NatsEventStream, log: ListLog
) -> None:
    feed = NatsFeed(connection)
    await publish(events, log, 10)
    await read(feed, 0, 10)
    await events.forget()
    assert await feed.next(Position(10), 0.1) == []
    await events.ensure(await log.identity(), Position(10))
    await events.publish(log.stored)
    await publish(events, log, 5)
    assert positions(await read(feed, 10, 15)) == [11, 12, 13, 14, 15]


async def test_a_deleted_consumer_is_made_anew(
    connection: Connection, events: NatsEventStream, log: ListLog
) -> None:
    feed = NatsFeed(connection)
    await publish(events, log, 10)
    await read(feed, 0, 10)
    jetstream = connection.client.jetstream()
    for consumer in await jetstream.consumers_info(STREAM):
        await jetstream.delete_consumer(STREAM, consumer.name)
    await publish(events, log, 5)
    assert positions(await read(feed, 10, 15)) == [11, 12, 13, 14, 15]


async def test_a_closed_feed_leaves_no_consumer(
    connection: Connection, events: NatsEventStream, log: ListLog, eventually: Eventually
) -> None:
    feed = NatsFeed(connection)
    await publish(events, log, 1)
    await read(feed, 0, 1)
    await feed.close()

    async def gone() -> bool:
        return not (await connection.client.jetstream().stream_info(STREAM)).state.consumer_count

    await eventually(gone)


async def test_events_of_another_log_are_not_taken_until_the_stream_is_made_anew(
    connection: Connection, events: NatsEventStream, log: ListLog
) -> None:
    """As after a restore: the stream still tells what came after the backup."""
    await publish(events, log, 20)
    restored = ListLog()
    feed = NatsFeed(connection, identity=restored.identity)
    assert await feed.next(Position(0), 0.5) == []
    await restored.append(*started(5))
    anew = NatsEventStream(connection)
    await anew.ensure(await restored.identity(), Position(5))
    await anew.publish(restored.stored)
    assert [each.stream for each in await read(feed, 0, 5)] == [row.stream for row in restored.stored]
