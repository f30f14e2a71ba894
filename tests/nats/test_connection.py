import asyncio
import contextlib
from pathlib import Path

import pytest
from nats.errors import ConnectionReconnectingError
from nats.js.errors import APIError

from adapters.nats.connection import Connection, Unreachable, connect, parsed
from adapters.nats.server_config import APP_USER, server_config
from tests.nats.conftest import PASSWORD, Eventually, Server


async def answers(connection: Connection) -> bool:
    with contextlib.suppress(*Unreachable, APIError):
        return bool(await connection.client.jetstream(timeout=0.5).account_info())
    return False


async def test_it_waits_for_a_server_that_comes_later(server: Server) -> None:
    server.kill()
    opening = asyncio.create_task(connect(server.url, name="test", user=APP_USER, password=PASSWORD))
    await asyncio.sleep(0)
    server.start()
    async with asyncio.timeout(10), await opening as connection:
        assert await answers(connection)


async def test_a_dead_read_loop_is_noticed_and_replaced(
    connection: Connection, eventually: Eventually
) -> None:
    reading = connection.client._reading_task
    assert reading is not None
    reading.cancel()

    async def healed() -> bool:
        return connection.client._reading_task is not reading and await answers(connection)

    await eventually(healed)


async def test_a_failing_callback_does_not_stop_the_reconnecting(
    connection: Connection, server: Server, eventually: Eventually
) -> None:
    told: list[str] = []

    def fail() -> None:
        raise RuntimeError("broken")

    connection.on_lost(fail)
    connection.on_lost(lambda: told.append("lost"))
    connection.on_restored(fail)
    connection.on_restored(lambda: told.append("restored"))
    server.kill()
    server.start()

    async def healed() -> bool:
        return "restored" in told and await answers(connection)

    await eventually(healed)
    assert told == ["lost", "restored"]
    assert not connection.closed.is_set()


async def test_a_request_ends_with_its_connection(connection: Connection, server: Server) -> None:
    async def say_nothing(_: object) -> None:
        asked.set()

    asked = asyncio.Event()
    await connection.client.subscribe("silent", cb=say_nothing)
    asking = asyncio.create_task(connection.client.request("silent", timeout=60))
    await asked.wait()
    server.kill()
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionReconnectingError):
            await asking
        with pytest.raises(ConnectionReconnectingError):
            await connection.client.request("silent", timeout=60)


async def test_its_end_is_told(connection: Connection) -> None:
    await connection.close()
    assert connection.closed.is_set()


async def test_a_cancelled_request_ends_its_task(connection: Connection) -> None:
    """asyncio.wait_for of Python 3.11 forgets a cancellation that comes together with the answer."""

    async def ask_for_ever() -> None:
        while True:
            await connection.client.jetstream().account_info()

    for _ in range(200):
        asking = asyncio.create_task(ask_for_ever())
        await asyncio.sleep(0.001)
        asking.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait([asking])
        assert asking.cancelled()


@pytest.mark.parametrize("name", ["", "gpu.1", "gpu*", "gpu 1", "a" * 65, 'x" }'])
def test_an_executors_name_is_one_token(name: str) -> None:
    with pytest.raises(ValueError, match="executor's name"):
        server_config(
            host="127.0.0.1", port=1, store_dir=Path("store"), app_password="x", executors={name: "y"}
        )


async def test_messages_are_handed_over_straight_and_a_failure_ends_with_its_own(
    connection: Connection,
) -> None:
    taken: list[tuple[bytes, bytes, dict[str, str]]] = []
    arrived = asyncio.Event()

    def take(subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        if body == b"bad":
            raise ValueError
        taken.append((subject, body, parsed(headers)))
        if body == b"last":
            arrived.set()

    client = connection.client
    subscription = await client.subscribe_straight("straight.*", take)
    await client.publish("straight.a", b"one")
    await client.publish("straight.b", b"bad")
    await client.publish("straight.c", b"last", headers={"Name": "of it"})
    async with asyncio.timeout(10):
        await arrived.wait()
    assert taken == [(b"straight.a", b"one", {}), (b"straight.c", b"last", {"Name": "of it"})]
    await subscription.unsubscribe()
    assert not client._straight


def test_what_the_server_says_itself_is_read_from_its_first_line() -> None:
    said = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 5\r\n\r\n"
    assert parsed(said) == {"Status": "408", "Description": "Request Timeout", "Nats-Pending-Messages": "5"}
    assert parsed(b"NATS/1.0 503\r\n\r\n") == {"Status": "503", "Description": ""}
