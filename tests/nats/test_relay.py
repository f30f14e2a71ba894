import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import pytest
from nats.js.errors import APIError, NotFoundError

from adapters.nats.cloud_event import decode
from adapters.nats.connection import Connection, Unreachable
from adapters.nats.events import STREAM, EventsSettings, NatsEventStream
from domain.ids import Position
from domain.run import RunStarted
from services.ports.relaying import FencedError, StoredRow, StreamUnavailableError
from services.relay import Relay, RelaySettings
from tests.nats.conftest import Eventually, Open, Server, working
from tests.nats.logs import ListLog, started

SOON = RelaySettings(batch=100, poll_s=0.1, first_pause_s=0.01, longest_pause_s=0.1)


async def stored(connection: Connection) -> list[tuple[int, str]]:
    """Sequence and position of every message in the stream."""
    jetstream = connection.client.jetstream()
    try:
        state = (await jetstream.stream_info(STREAM)).state
    except NotFoundError:
        return []
    messages = [await jetstream.get_msg(STREAM, seq=n) for n in range(state.first_seq, state.last_seq + 1)]
    return [
        (message.seq or 0, (message.headers or {}).get("Nats-Msg-Id", "").rpartition(":")[2])
        for message in messages
    ]


def filled(connection: Connection, log: ListLog) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        try:
            info = await connection.client.jetstream(timeout=1).stream_info(STREAM)
        except (*Unreachable, APIError):
            return False
        return bool(info.state.last_seq == len(log.stored))

    return ask


def complete(log: ListLog) -> list[tuple[int, str]]:
    return [(n, str(n)) for n in range(1, len(log.stored) + 1)]


async def assert_same(connection: Connection, log: ListLog) -> None:
    assert await stored(connection) == complete(log)


@pytest.mark.parametrize("count", [1, 47, 250])
async def test_every_row_stands_at_its_position(
    connection: Connection, eventually: Eventually, count: int
) -> None:
    log = ListLog()
    await log.append(*started(count))
    async with working(Relay(log, NatsEventStream(connection), SOON).run()):
        await eventually(filled(connection, log))
        await log.append(*started(3))
        await eventually(filled(connection, log))
    await assert_same(connection, log)


async def test_a_message_is_a_cloud_event_on_the_subject_of_its_stream(connection: Connection) -> None:
    log = ListLog()
    stream = await log.append(RunStarted(epoch=1, backend="gpu-1"))
    events = NatsEventStream(connection)
    await events.ensure(await log.identity(), Position(1))
    await events.publish(log.stored)
    message = await connection.client.jetstream().get_msg(STREAM, seq=1)
    assert message.subject == f"events.run.{stream}.started.v1"
    assert message.headers is not None
    assert message.headers["Content-Type"] == "application/cloudevents+json"
    recorded = decode(message.data or b"", 1)
    assert recorded.event == RunStarted(epoch=1, backend="gpu-1")
    row = log.stored[0]
    assert (recorded.stream, recorded.at, recorded.owner, recorded.correlation, recorded.actor) == (
        stream,
        row.at,
        row.owner,
        row.correlation,
        row.actor,
    )


async def test_two_relays_that_both_believe_to_lead_neither_double_nor_drop(
    open_app: Open, eventually: Eventually
) -> None:
    log = ListLog(leaders=False)
    one, two = await open_app("one"), await open_app("two")
    async with working(
        Relay(log, NatsEventStream(one), SOON).run(), Relay(log, NatsEventStream(two), SOON).run()
    ):
        for n in range(60):
            await log.append(*started(1 + n % 90))
            await asyncio.sleep(0)
        await eventually(filled(one, log))
    await assert_same(one, log)


async def test_a_relay_that_was_overtaken_is_fenced(connection: Connection) -> None:
    log = ListLog()
    await log.append(*started(200))
    events = NatsEventStream(connection)
    await events.ensure(await log.identity(), Position(200))
    await events.publish(log.stored[:100])
    with pytest.raises(FencedError):
        await events.publish(log.stored[101:111])
    with pytest.raises(FencedError):
        await events.publish(log.stored[101:])


@pytest.mark.parametrize("count", [1, 100])
async def test_what_is_published_again_is_fenced(connection: Connection, count: int) -> None:
    log = ListLog()
    await log.append(*started(200))
    events = NatsEventStream(connection)
    await events.ensure(await log.identity(), Position(200))
    await events.publish(log.stored)
    with pytest.raises(FencedError):
        await events.publish(log.stored[-count:])
    await assert_same(connection, log)


async def test_a_stream_deleted_while_the_log_is_silent_is_refilled(
    connection: Connection, eventually: Eventually
) -> None:
    log = ListLog()
    await log.append(*started(150))
    async with working(Relay(log, NatsEventStream(connection), SOON).run()):
        await eventually(filled(connection, log))
        await connection.client.jetstream().delete_stream(STREAM)
        await eventually(filled(connection, log))
    await assert_same(connection, log)


async def test_a_server_killed_while_the_relay_publishes_misses_nothing(
    connection: Connection, server: Server, eventually: Eventually
) -> None:
    log = ListLog()
    async with working(Relay(log, NatsEventStream(connection), SOON).run()):
        for _ in range(3):
            await log.append(*started(400))
            await asyncio.sleep(0.01)
            server.kill()
            await log.append(*started(10))
            server.start()
        await eventually(filled(connection, log))
    await assert_same(connection, log)


async def test_a_server_that_lost_its_folder_is_refilled(
    connection: Connection, server: Server, eventually: Eventually
) -> None:
    log = ListLog()
    await log.append(*started(150))
    async with working(Relay(log, NatsEventStream(connection), SOON).run()):
        await eventually(filled(connection, log))
        server.kill()
        server.lose_everything()
        server.start()
        await eventually(filled(connection, log))
    await assert_same(connection, log)


async def test_a_stream_whose_making_was_cut_short_is_made_again(
    connection: Connection, server: Server, eventually: Eventually
) -> None:
    server.kill()
    server.leave_half_made(STREAM)
    server.start()
    log = ListLog()
    await log.append(*started(150))
    async with working(Relay(log, NatsEventStream(connection), SOON).run()):
        await eventually(filled(connection, log))
    await assert_same(connection, log)


async def test_a_new_stream_may_begin_near_the_end_of_the_log(
    connection: Connection, eventually: Eventually
) -> None:
    log = ListLog()
    await log.append(*started(150))
    stream = NatsEventStream(connection, EventsSettings(refill=10))
    async with working(Relay(log, stream, SOON).run()):
        await eventually(filled(connection, log))
    assert await stored(connection) == [(n, str(n)) for n in range(141, 151)]


@pytest.mark.parametrize("restored_to", [100, 400])
@pytest.mark.parametrize("identity", [None, UUID(int=7)])
async def test_after_a_restore_the_stream_tells_the_restored_logs_story(
    connection: Connection, eventually: Eventually, restored_to: int, identity: UUID | None
) -> None:
    """The log went another way from position 51 on, and is by now behind the stream or ahead of it."""
    log = ListLog()
    await log.append(*started(200))
    async with working(Relay(log, NatsEventStream(connection), SOON).run()):
        await eventually(filled(connection, log))
    restored = ListLog(identity or await log.identity())
    restored.stored = log.stored[:50]
    await restored.append(*started(restored_to - 50))
    async with working(Relay(restored, NatsEventStream(connection), SOON).run()):
        await eventually(filled(connection, restored))
    await assert_same(connection, restored)
    message = await connection.client.jetstream().get_msg(STREAM, seq=60)
    assert decode(message.data or b"", 60).stream == restored.stored[59].stream


async def test_a_foreign_message_in_the_stream_is_put_right(
    connection: Connection, eventually: Eventually
) -> None:
    log = ListLog()
    await log.append(*started(60))
    async with working(Relay(log, NatsEventStream(connection), SOON).run()):
        await eventually(filled(connection, log))
        await connection.client.jetstream().publish("events.run.x.forged.v1", b"{}")
        await log.append(*started(5))

        async def put_right() -> bool:
            try:
                return await stored(connection) == complete(log)
            except (*Unreachable, APIError):
                return False  # it is being made anew; a request amid that is never answered

        await eventually(put_right, within_s=60)


@pytest.mark.parametrize("behind", [1, 5])
async def test_a_stranger_in_the_place_of_the_next_row_fences_all_that_follow(
    connection: Connection, behind: int
) -> None:
    log, stream = ListLog(), NatsEventStream(connection)
    await log.append(*started(3 + behind))
    await stream.ensure(await log.identity(), Position(0))
    await stream.publish(log.stored[:3])
    await connection.client.jetstream().publish("events.run.x.forged.v1", b"{}")
    with pytest.raises(FencedError):
        await stream.publish(log.stored[3:])
    assert (await connection.client.jetstream().stream_info(STREAM)).state.last_seq == 4


async def test_changed_limits_reach_an_existing_stream(connection: Connection) -> None:
    log = UUID(int=1)
    await NatsEventStream(connection).ensure(log, Position(0))
    jetstream = connection.client.jetstream()
    before = (await jetstream.stream_info(STREAM)).config
    await jetstream.update_stream(before.evolve(allow_atomic=True))  # as earlier versions made it
    await NatsEventStream(connection, EventsSettings(max_age_s=3600)).ensure(log, Position(0))
    config = (await connection.client.jetstream().stream_info(STREAM)).config
    assert config.max_age == 3600
    assert (config.deny_delete, config.deny_purge) == (True, True)


class Told:
    """A stream that only notes what is published at once."""

    def __init__(self) -> None:
        self.published: list[int] = []

    async def ensure(self, log: UUID, head: Position) -> Position:
        return Position(sum(self.published))

    async def holds(self, row: StoredRow) -> bool:
        return True

    async def forget(self) -> None:
        raise AssertionError("nothing is wrong with it")

    async def publish(self, rows: Sequence[StoredRow]) -> None:
        self.published.append(len(rows))


async def test_what_comes_behind_many_is_gathered_and_a_lone_row_never_waits(eventually: Eventually) -> None:
    log, stream = ListLog(), Told()
    settings = RelaySettings(poll_s=0.1, gather_s=0.5, gather_from=8)

    async def publish_all() -> bool:
        return sum(stream.published) == len(log.stored)

    async with working(Relay(log, stream, settings).run()):
        for rows in (1, 1, 8):
            await log.append(*started(rows))
            await eventually(publish_all)
        for _ in range(5):
            await log.append(*started(1))
            await asyncio.sleep(0)
        await eventually(publish_all)
    assert stream.published == [1, 1, 8, 5]


@pytest.mark.parametrize(("gather_rows_s", "together"), [(50.0, True), (1e9, False)])
async def test_what_comes_fast_is_gathered_though_each_row_comes_alone(
    eventually: Eventually, gather_rows_s: float, together: bool
) -> None:
    log, stream = ListLog(), Told()
    settings = RelaySettings(poll_s=0.1, gather_s=0.1, gather_from=1_000, gather_rows_s=gather_rows_s)

    async def publish_all() -> bool:
        return sum(stream.published) == len(log.stored)

    async with working(Relay(log, stream, settings).run()):
        for _ in range(60):
            await log.append(*started(1))
            await asyncio.sleep(0.005)
        await eventually(publish_all)
    assert (len(stream.published) < 20) is together, stream.published


async def test_while_the_server_is_away_publishing_says_so(connection: Connection, server: Server) -> None:
    log = ListLog()
    await log.append(*started(2))
    events = NatsEventStream(connection)
    await events.ensure(await log.identity(), Position(2))
    server.kill()
    with pytest.raises(StreamUnavailableError):
        await events.publish(log.stored)
    with pytest.raises(StreamUnavailableError):
        await events.ensure(await log.identity(), Position(2))
    server.start()
