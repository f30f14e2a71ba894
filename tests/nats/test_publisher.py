import asyncio

import pytest

from adapters.nats.connection import Connection
from adapters.nats.publisher import Message, Publisher, PublishError, UnacknowledgedError
from tests.nats.conftest import Server

SUBJECT = "things.one"
WRONG = b"Nats-Expected-Last-Sequence: 7\r\n"


@pytest.fixture
async def publisher(connection: Connection) -> Publisher:
    await connection.client.jetstream().add_stream(name="THINGS", subjects=["things.>"], allow_atomic=True)
    made = Publisher(connection, timeout_s=1)
    await made.open()
    return made


def message(headers: bytes = b"") -> Message:
    return Message(SUBJECT, b"x", headers)


async def test_many_messages_under_way_are_each_acknowledged_with_their_place(publisher: Publisher) -> None:
    futures = [await publisher.send(message()) for _ in range(500)]
    assert await asyncio.gather(*futures) == list(range(1, 501))


async def test_a_refusal_carries_the_servers_codes(publisher: Publisher) -> None:
    refused = await publisher.send(message(WRONG))
    with pytest.raises(PublishError) as raised:
        await refused
    assert (raised.value.code, raised.value.err_code) == (400, 10071)


async def test_a_subject_without_a_stream_is_refused(publisher: Publisher) -> None:
    with pytest.raises(PublishError) as raised:
        await publisher.send_all([Message("nobody.listens", b"")])
    assert raised.value.code == 503


async def test_a_batch_is_stored_as_a_whole(publisher: Publisher) -> None:
    assert await publisher.send_batch([message() for _ in range(1000)], batch="a") == 1000


async def test_a_batch_is_refused_as_a_whole(publisher: Publisher, connection: Connection) -> None:
    messages = [message(WRONG), *(message() for _ in range(9))]
    with pytest.raises(PublishError) as raised:
        await publisher.send_batch(messages, batch="a")
    assert raised.value.err_code == 10071
    assert (await connection.client.jetstream().stream_info("THINGS")).state.messages == 0


async def test_a_batch_that_is_too_long_is_refused(publisher: Publisher) -> None:
    with pytest.raises(PublishError) as raised:
        await publisher.send_batch([message() for _ in range(1001)], batch="a")
    assert raised.value.err_code == 10199


async def test_what_is_under_way_when_the_server_dies_ends_unacknowledged(
    publisher: Publisher, server: Server
) -> None:
    futures = [await publisher.send(message()) for _ in range(1000)]
    server.kill()
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {int, UnacknowledgedError}
    with pytest.raises(UnacknowledgedError):
        await publisher.send(message())


async def test_no_answer_at_all_ends_after_the_time_out(connection: Connection) -> None:
    async def say_nothing(_: object) -> None:
        return

    await connection.client.subscribe("silent", cb=say_nothing)
    publisher = Publisher(connection, timeout_s=0.2)
    await publisher.open()
    with pytest.raises(UnacknowledgedError):
        await publisher.send_all([Message("silent", b"")])
