import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import uvloop

from adapters.outbound.transport import KeptTransport

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[str]:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=KeptTransport(), timeout=5) as opened:
        yield opened


def answering(answer: bytes, *, times: int = 1_000_000) -> tuple[Serve, list[int]]:
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        for _ in range(times):
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.split(b":")[1]))
            writer.write(answer)
            await writer.drain()

    return serve, connections


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi"


async def test_one_connection_serves_many_requests() -> None:
    serve, connections = answering(OK)
    async with served(serve) as url, client() as http:
        for _ in range(5):
            answer = await http.post(url + "/a?b=c", content=b"x" * 100)
            assert (answer.status_code, answer.content, answer.headers["x-a"]) == (200, b"hi", "b")
    assert len(connections) == 1


async def test_a_large_request_and_a_large_answer_arrive_whole() -> None:
    body = bytes(range(256)) * 40_000
    serve, _ = answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    async with served(serve) as url, client() as http:
        assert (await http.put(url, content=body)).content == body


async def test_chunks_are_put_together() -> None:
    serve, _ = answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    async with served(serve) as url, client() as http:
        assert (await http.get(url)).content == b"abcde"
        assert (await http.get(url)).content == b"abcde"


async def test_a_body_may_end_with_the_connection() -> None:
    serve, _ = answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrest", times=1)
    async with served(serve) as url, client() as http:
        assert (await http.get(url)).content == b"rest"


async def test_a_dead_kept_connection_is_replaced_for_a_safe_request() -> None:
    serve, connections = answering(OK, times=1)
    async with served(serve) as url, client() as http:
        for _ in range(3):
            assert (await http.get(url)).content == b"hi"
    assert len(connections) == 3


async def test_a_broken_off_answer_is_an_error() -> None:
    serve, _ = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi", times=1)
    async with served(serve) as url, client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(url)


async def test_an_answer_that_is_not_http_is_an_error() -> None:
    serve, _ = answering(b"SSH-2.0-OpenSSH\r\n\r\n", times=1)
    async with served(serve) as url, client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(url)


async def test_silence_times_out() -> None:
    serve, _ = answering(b"")
    async with served(serve) as url, client() as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(url, timeout=0.05)


async def test_nobody_listening_is_an_error_of_its_own() -> None:
    async with client() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("http://127.0.0.1:1/")


def test_it_works_on_the_event_loop_of_production() -> None:
    async def asked_twice() -> None:
        serve, connections = answering(OK)
        async with served(serve) as url, client() as http:
            for _ in range(2):
                assert (await http.put(url, content=bytes(1 << 20))).content == b"hi"
        assert len(connections) == 1

    uvloop.run(asked_twice())
