import asyncio

import pytest

from adapters.nats.connection import Connection
from adapters.nats.publisher import Message, Publisher, PublishError, UnacknowledgedError
from tests.nats.conftest import Server

SUBJECT = "things.one"


@pytest.fixture
async def publisher(connection: Connection) -> Publisher:
    await connection.client.jetstream().add_stream(name="THINGS", subjects=["things.>"])
    made = Publisher(connection, timeout_s=1)
    await made.open()
    return made


def following(*sequences: int) -> list[Message]:
    """Messages that each may only be stored behind a sequence."""
    return [Message(SUBJECT, b"x", f"Nats-Expected-Last-Sequence: {each}\r\n".encode()) for each in sequences]


async def stored(connection: Connection) -> int:
    return int((await connection.client.jetstream().stream_info("THINGS")).state.messages)


@pytest.mark.parametrize("count", [1, 2, 1000])
async def test_the_answer_is_the_place_of_the_last_one(
    publisher: Publisher, connection: Connection, count: int
) -> None:
    assert await publisher.send(following(*range(count))) == count
    assert await stored(connection) == count


async def test_publications_under_way_at_once_each_get_their_own_answer(publisher: Publisher) -> None:
    outcomes = await asyncio.gather(*(publisher.send(following(n)) for n in range(500)))
    assert outcomes == list(range(1, 501))


async def test_a_refusal_carries_the_servers_codes(publisher: Publisher) -> None:
    with pytest.raises(PublishError) as raised:
        await publisher.send(following(7))
    assert (raised.value.code, raised.value.err_code) == (400, 10071)


@pytest.mark.parametrize("missing", [0, 1, 499, 998])
async def test_behind_one_that_is_not_stored_none_is_and_the_answer_says_so(
    publisher: Publisher, connection: Connection, missing: int
) -> None:
    messages = following(*range(1000))
    del messages[missing]
    with pytest.raises(PublishError) as raised:
        await publisher.send(messages)
    assert raised.value.err_code == 10071
    assert await stored(connection) == missing


async def test_a_subject_without_a_stream_is_refused(publisher: Publisher) -> None:
    with pytest.raises(PublishError) as raised:
        await publisher.send([Message("nobody.listens", b"")])
    assert raised.value.code == 503


async def test_what_is_under_way_when_the_server_dies_ends_unacknowledged(
    publisher: Publisher, server: Server
) -> None:
    sending = [asyncio.create_task(publisher.send(following(n))) for n in range(1000)]
    await asyncio.sleep(0)
    server.kill()
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {int, UnacknowledgedError}
    with pytest.raises(UnacknowledgedError):
        await publisher.send(following(0))


async def test_no_answer_at_all_ends_after_the_time_out(connection: Connection) -> None:
    async def say_nothing(_: object) -> None:
        return

    await connection.client.subscribe("silent", cb=say_nothing)
    publisher = Publisher(connection, timeout_s=0.2)
    await publisher.open()
    with pytest.raises(UnacknowledgedError):
        await publisher.send([Message("silent", b"")])
