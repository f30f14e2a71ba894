"""What the door does to those who do not come in peace, and what it shows when something is broken."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from msgspec.structs import replace
from psycopg_pool import AsyncConnectionPool

from adapters.http.parts import Parts
from adapters.http.protocol import MAX_HEAD_BYTES, PatientProtocol
from adapters.postgres.log import PostgresLog
from commands.dispatcher import Dispatcher
from commands.streams import Streams
from tests.http.log import deeds
from tests.http.person import GRAPH, Person, joined, somebody
from tests.http.problems import refused
from tests.http.whole import Whole, another_api

PATIENCE_S = 10.0


class HastyProtocol(PatientProtocol):
    head_s = 0.3


@asynccontextmanager
async def hasty(parts: Parts) -> AsyncIterator[Parts]:
    yield replace(parts, patience_s=0.3)


@asynccontextmanager
async def impatient(parts: Parts) -> AsyncIterator[Parts]:
    yield replace(parts, reads=replace(parts.reads, catch_up_s=0.2))


async def spoken(url: str, *pieces: bytes, end: bool = False) -> bytes:
    """Everything the server answers to some bytes until it hangs up."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if end:
                writer.write_eof()
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def parsed(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem of a raw answer."""
    top, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in top, answer
    return int(top.split()[1]), json.loads(body)


async def test_every_answer_protects_whoever_reads_it(ann: Person) -> None:
    workflow = await ann.workflow()
    for method, path in (
        ("GET", "/auth/me"),
        ("GET", "/gallery"),
        ("GET", f"/workflows/{workflow}"),
        ("GET", "/nowhere"),
        ("DELETE", "/gallery"),
        ("POST", "/workflows"),
        ("OPTIONS", "/workflows"),
        ("HEAD", "/gallery"),
    ):
        headers = (await ann.ask(method, path, headers={"Origin": "https://evil.example"})).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert not [name for name in headers if name.startswith("access-control-")]
        assert "server" not in headers
        assert "set-cookie" not in headers


async def test_a_fault_of_ours_is_told_without_our_insides(served: Whole) -> None:
    @asynccontextmanager
    async def broken(parts: Parts) -> AsyncIterator[Parts]:
        yield replace(parts, commands=None)  # type: ignore[arg-type]  # something nobody thought of

    with another_api(served, broken) as api:
        async with somebody(api) as person:
            answer = await person.http.post("/api/v1/auth/login", json={"login": "a", "password": "b"})
            problem = refused(answer, 500)
            assert problem["detail"] == "Something went wrong on our side. It has been logged."
            assert (await person.http.get("/health")).status_code == 200


async def test_when_too_many_wait_to_write_they_are_told_to_come_back(served: Whole) -> None:
    @asynccontextmanager
    async def full(parts: Parts) -> AsyncIterator[Parts]:
        url = str(served.settings.app_database_url)
        async with (
            AsyncConnectionPool(url, open=False, kwargs={"autocommit": True}) as connections,
            PostgresLog(url, connections, waiting_limit=2) as log,
        ):
            needs = replace(parts.commands.needs, streams=Streams(log))
            yield replace(parts, commands=Dispatcher(needs))

    with another_api(served, full) as api:
        async with joined(api) as ann:
            before = deeds(served)
            with psycopg.connect(served.database.url) as slow:
                slow.execute("SELECT pg_advisory_xact_lock(7262431)")  # somebody else appends, very slowly
                asked = [
                    asyncio.create_task(ann.ask("POST", "/workflows", json={"name": "a", "graph": GRAPH}))
                    for _ in range(20)
                ]
                done, waiting = await asyncio.wait(
                    asked, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    assert "try again" in refused(task.result(), 503)["detail"]
                assert waiting
            answers = [task.result() for task in (await asyncio.wait(asked))[0]]
            accepted = [answer for answer in answers if answer.status_code == 201]
            assert {answer.status_code for answer in answers} == {201, 503}
            assert deeds(served) - before == 2 * len(accepted)


async def test_whoever_never_ends_a_head_is_hung_up_on(served: Whole) -> None:
    with another_api(served, protocol=HastyProtocol) as api:
        assert await spoken(api.url) == b""
        assert await spoken(api.url, b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: a") == b""
        kept = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        answered = await spoken(api.url, kept, b"GET /heal")
        assert answered.startswith(b"HTTP/1.1 200")
        assert answered.count(b"HTTP/1.1") == 1


async def test_many_who_are_slow_keep_nobody_else_waiting(served: Whole) -> None:
    address = urlsplit(served.url)
    slow = [await asyncio.open_connection(address.hostname, address.port) for _ in range(200)]
    for _, writer in slow:
        writer.write(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    async with somebody(served) as person, asyncio.timeout(PATIENCE_S):
        await person.get("/gallery")
    for _, writer in slow:
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(served: Whole) -> None:
    with another_api(served, hasty) as api:
        for top in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
            asked = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + top
            status, problem = parsed(await spoken(api.url, asked))
            assert (status, problem["title"]) == (408, "Too slow")


async def test_an_answer_that_does_not_come_is_not_waited_for(served: Whole, ann: Person) -> None:
    asked: dict[str, Any] = {"json": {"name": "a", "graph": GRAPH}, "headers": {"Idempotency-Key": "k"}}
    with another_api(served, hasty) as api:
        before, ann.http.base_url = deeds(served), httpx.URL(api.url)
        with psycopg.connect(served.database.url) as slow:
            slow.execute("SELECT pg_advisory_xact_lock(7262431)")
            assert "may have happened" in refused(await ann.ask("POST", "/workflows", **asked), 503)["detail"]
            slow.execute("LOCK TABLE log.events IN ACCESS EXCLUSIVE MODE")
            cancelled = await ann.http.post(
                f"/api/v1/runs/{uuid4()}/cancel"
            )  # without a body: none is missed
            refused(cancelled, 503)
        ann.http.base_url = httpx.URL(served.url)
        await ann.post("/workflows", **asked)
        assert deeds(served) == before + 2


@pytest.mark.parametrize(
    "top",
    [
        b"X-Large: " + b"x" * MAX_HEAD_BYTES + b"\r\n",
        b"".join(b"X-Many-%d: x\r\n" % number for number in range(6_000)),
    ],
    ids=["one large header", "many headers"],
)
async def test_a_head_that_never_ends_is_refused(served: Whole, top: bytes) -> None:
    answer = await spoken(served.url, b"GET /health HTTP/1.1\r\nHost: x\r\n" + top)
    status, problem = parsed(answer)
    assert (status, problem["status"]) == (431, 431)


@pytest.mark.parametrize(
    "request_line",
    [
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /hea\x00lth HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"POST /api/v1/auth/login HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nTransfer-Encoding: chunked, x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused(served: Whole, request_line: bytes) -> None:
    status, problem = parsed(await spoken(served.url, request_line))
    assert (status, problem["status"]) == (400, 400)


async def test_a_length_that_lies_lets_nothing_in(served: Whole, ann: Person) -> None:
    before, token = deeds(served), ann.http.headers["authorization"].encode()
    body = json.dumps({"name": "a", "graph": GRAPH}).encode()
    top = b"POST /api/v1/workflows HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    top += b"Authorization: " + token + b"\r\nContent-Length: "
    short = await spoken(served.url, top + b"10\r\n\r\n" + body)
    assert short.startswith(b"HTTP/1.1 400")
    assert b"HTTP/1.1 201" not in short
    await spoken(served.url, top + str(len(body) + 50).encode() + b"\r\n\r\n" + body, end=True)
    huge = await spoken(served.url, top + b"99999999999\r\n\r\n" + body[:5], end=True)
    assert b"HTTP/1.1 201" not in huge
    assert deeds(served) == before


async def test_headers_cannot_be_smuggled_into_answers(ann: Person) -> None:
    for path in ("/nowhere%0d%0aX-Evil:%20yes", "/outputs/a%0d%0aX-Evil:%20yes/b/c"):
        answer = await ann.ask("GET", path)
        assert "x-evil" not in answer.headers
        refused(answer, 404)


async def test_a_position_in_the_future_is_waited_for_a_while_and_no_longer(
    served: Whole, ann: Person
) -> None:
    workflow = await ann.workflow()
    with another_api(served, impatient) as api:
        ann.http.base_url = httpx.URL(api.url)
        await ann.get(f"/workflows/{workflow}")
        for path in ("/workflows", "/gallery", "/runs"):
            refused(await ann.ask("GET", path, headers={"Consistent-With": "9" * 15}), 503)
