"""One account's ComfyUI on a port of one's own machine: for its programs, and for nobody else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from infra.embedded.ports import free_port
from infra.loopback.app import REFUSED, Loopback
from infra.loopback.serve import NotServedError, serve, server
from tests.http.person import client
from tests.http.whole import beside

KEY = "cpk_of-the-account"


async def upstream(scope: Any, receive: Any, send: Any) -> None:
    """Tells what has come to it; its socket says everything back, and closes at `bye`."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    path = scope["raw_path"].decode()
    if scope["type"] == "websocket":
        await receive()
        if headers.get("x-api-key") != KEY:
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"{path}?{scope['query_string'].decode()}"})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4001, "reason": "over"})
                return
            await send({**message, "type": "websocket.send"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    told = {"path": path, "query": scope["query_string"].decode(), "headers": headers, "size": len(body)}
    out = [(b"content-type", b"application/json"), (b"set-cookie", b"a=b"), (b"x-own", b"kept")]
    status = 401 if headers.get("x-api-key") != KEY else 200
    await send({"type": "http.response.start", "status": status, "headers": out})
    await send({"type": "http.response.body", "body": msgspec.json.encode(told)})


@asynccontextmanager
async def serving(made: uvicorn.Server) -> AsyncIterator[None]:
    task = asyncio.create_task(made.serve())
    try:
        async with asyncio.timeout(30):
            while not made.started:
                await asyncio.sleep(0.01)
        yield
    finally:
        made.should_exit = True
        await task


@pytest.fixture(scope="module")
def there() -> Iterator[str]:
    port = free_port()
    config = uvicorn.Config(upstream, port=port, ws="websockets-sansio", lifespan="off", log_config=None)
    with beside(lambda: serving(uvicorn.Server(config))):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def loopback(there: str, key: str, port: int) -> AsyncIterator[None]:
    app = Loopback(there, key, port)
    async with serving(server(app, port)):
        yield
    await app.aclose()


@pytest.fixture(scope="module")
def here(there: str) -> Iterator[str]:
    port = free_port()
    with beside(lambda: loopback(f"{there}/studio/", KEY, port)):
        yield f"127.0.0.1:{port}"


async def test_a_request_goes_on_with_the_key_and_without_what_is_nobody_s_business(here: str) -> None:
    sent = {
        "Cookie": "comfyplus_session=x",
        "Authorization": "Bearer x",
        "X-API-Key": "another",
        "X-Forwarded-For": "10.0.0.1",
        "Origin": f"http://{here}",
        "Sec-Fetch-Site": "same-origin",
        "Content-Type": "text/plain",
    }
    async with client(f"http://{here}") as http:
        path = "/api/userdata/workflows%2Fa%20b.json?overwrite=true&full_info=true"
        answer = await http.post(path, content=b"x" * 300_000, headers=sent)
    told = answer.json()
    assert (told["path"], told["query"]) == (
        "/studio/editor/api/userdata/workflows%2Fa%20b.json",
        "overwrite=true&full_info=true",
    )
    assert told["size"] == 300_000
    assert told["headers"]["x-api-key"] == KEY
    assert told["headers"]["content-type"] == "text/plain"
    for name in ("cookie", "authorization", "x-forwarded-for", "origin", "sec-fetch-site"):
        assert name not in told["headers"]
    assert answer.headers["x-own"] == "kept"
    assert "set-cookie" not in answer.headers


async def test_a_body_of_unknown_length_goes_on_as_it_comes(here: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 70_000

    async with client(f"http://{here}") as http:
        assert (await http.post("/upload/image", content=pieces())).json()["size"] == 210_000


@pytest.mark.parametrize(
    ("sent", "let_in"),
    [
        ({}, True),
        ({"Origin": "http://{here}"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Host": "localhost:{port}"}, True),
        ({"Host": "evil.example:{port}"}, False),
        ({"Host": "evil.example"}, False),
        ({"Host": "localhost.evil.example:{port}"}, False),
        ({"Host": "127.0.0.1:1"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://localhost:1"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, False),
    ],
)
async def test_no_page_of_another_site_gets_through(here: str, sent: dict[str, str], let_in: bool) -> None:
    port = here.rpartition(":")[2]
    headers = {name: value.format(here=here, port=port) for name, value in sent.items()}
    async with client(f"http://{here}") as http:
        for answer in (
            await http.get("/history", headers=headers),
            await http.post("/interrupt", headers=headers),
        ):
            assert answer.status_code == (200 if let_in else 403), answer.text
    if let_in:
        async with connect(f"ws://{here}/ws?clientId=a", additional_headers=headers, proxy=None) as socket:
            assert await socket.recv() == "/studio/editor/ws?clientId=a"
    else:
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{here}/ws", additional_headers=headers, proxy=None)


@pytest.mark.parametrize("path", ["/../api/v1/auth/me", "/%2e%2e/api/v1/auth/me", "/api/.%2E/x", "/.."])
async def test_no_way_leads_up(here: str, path: str) -> None:
    reader, writer = await asyncio.open_connection(*here.split(":"))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {here}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 403")
    assert answer.endswith(REFUSED.encode())


async def test_a_socket_carries_both_kinds_both_ways_and_its_end(here: str) -> None:
    async with connect(f"ws://{here}/ws", proxy=None, max_size=None) as socket:
        await socket.recv()
        for message in ('{"type": "feature_flags"}', b"\0\0\0\1" + b"x" * 200_000, "after"):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "over")


async def test_a_server_that_is_away_is_told_of(there: str) -> None:
    port, nothing = free_port(), f"http://127.0.0.1:{free_port()}"
    async with loopback(nothing, KEY, port), client(f"http://127.0.0.1:{port}") as http:
        answer = await http.get("/history")
        assert (answer.status_code, answer.text) == (502, f"ComfyUI Plus cannot be reached at {nothing}.")
        with pytest.raises(InvalidStatus):
            await connect(f"ws://127.0.0.1:{port}/ws", proxy=None)


def test_a_key_that_opens_nothing_is_told_of_before_anything_is_served(there: str) -> None:
    with pytest.raises(NotServedError, match="opens nothing"):
        serve(there, "cpk_wrong", free_port(), print)


def test_nothing_of_it_listens_to_the_network(here: str) -> None:
    assert server(Loopback("http://x", KEY, 1), 1).config.host == "127.0.0.1"
    with httpx.Client(trust_env=False) as http:
        assert http.get(f"http://{here}/").status_code == 200
