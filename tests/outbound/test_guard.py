"""Nobody has us dial into our own network."""

import asyncio
import gzip

import httpx
import pytest

from adapters.outbound.guard import ClosedAddressError, Guard
from adapters.outbound.transport import KeptTransport
from adapters.outbound.webhook_post import WebhookPost
from commands.addresses import checked_url, is_public
from domain.refusals import Invalid
from tests.outbound.test_transport import OK, Serve, answering, served

CLOSED = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.1.1", "192.0.0.8", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("100.100.100.200", "168.63.129.16", "192.88.99.1"),
    *(
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "fe80::1",
        "fe80::1%1",
    ),
    *("fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2001::1", "100::1"),
    *(
        "64:ff9b::7f00:1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "5f00::1",
        "3fff::1",
        "2130706433",
        "localhost",
        "",
    ),
]
OPEN = [
    "8.8.8.8",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.0.1",
    "192.0.1.1",
    "2606:4700::1111",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", CLOSED)
def test_closed_addresses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OPEN)
def test_open_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org", "javascript:alert(1)"),
        *(
            "https://",
            "https:///x",
            "https://user@example.org/",
            "https://a:b@example.org/",
            "//example.org/",
        ),
        *(
            "https://example.org/#x",
            "https://example.org\\@evil.org/",
            "https://exa mple.org",
            "https://ex\u00e4mple.org",
        ),
        *(
            "https://example.org:0/",
            "https://example.org:99999/",
            "https://example.org:x/",
            "https://[::1",
            "http://a\r\nb/",
        ),
        *(
            "http://localhost/",
            "http://LOCALHOST.:80/",
            "http://x.localhost/",
            "http://127.0.0.1/",
            "http://[::1]/",
        ),
        *(
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://127.1/",
            "http://169.254.169.254/latest",
        ),
        *("http://[::ffff:127.0.0.1]/", "http://10.1/", "http://0/", "https://example.org/" + "x" * 2048),
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        checked_url(url, private=False)
    assert [error.field for error in refusal.value.errors] == ["url"]


@pytest.mark.parametrize(
    "url",
    ["https://example.org", "http://example.org:8080/a?b=c&d=%20", "https://8.8.8.8/", "HTTPS://X.org/"],
)
def test_urls_that_are_taken(url: str) -> None:
    assert checked_url(url, private=False) == url


def test_ones_own_network_may_be_allowed() -> None:
    assert checked_url("http://localhost:9/", private=True)
    with pytest.raises(Invalid):
        checked_url("file:///etc/passwd", private=True)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433", "::1", "0", "::ffff:127.0.0.1"]
)
async def test_what_leads_to_this_machine_is_not_dialled(host: str) -> None:
    serve, connections = answering(OK)
    async with served(serve) as url:
        post = WebhookPost(Guard())
        named = f"[{host}]" if ":" in host else host
        answer = await post(url.replace("127.0.0.1", named), {}, b"x")
        await post.aclose()
    assert answer.status is None
    assert "private network" in answer.error
    assert connections == []


async def test_one_closed_address_among_open_ones_closes_the_name() -> None:
    guard = Guard()
    with pytest.raises(ClosedAddressError):
        await guard("127.0.0.1", 80)
    assert await guard("8.8.8.8", 80) == ["8.8.8.8"]
    with pytest.raises(httpx.ConnectError, match="not known"):
        await guard("name.invalid", 80)


async def test_the_address_that_was_looked_at_is_the_one_dialled() -> None:
    """A name that leads elsewhere a moment later is not asked again."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    serve, connections = answering(OK)
    async with served(serve) as url:
        transport = KeptTransport(resolve=resolve)
        async with httpx.AsyncClient(transport=transport) as http:
            for _ in range(3):
                answer = await http.post(url.replace("127.0.0.1", "rebound.example"), content=b"x")
                assert answer.status_code == 200
    assert asked == ["rebound.example"]
    assert len(connections) == 1


async def posted(serve: Serve, path: str = "/") -> tuple[int | None, bytes, str]:
    async with served(serve) as url:
        post = WebhookPost(Guard(private=True))
        async with asyncio.timeout(20):
            answer = await post(url + path, {"webhook-id": "a"}, b"{}")
        await post.aclose()
    return answer.status, answer.body, answer.error


async def test_redirects_are_not_followed() -> None:
    serve, connections = answering(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")
    assert (await posted(serve))[0] == 302
    assert len(connections) == 1


def endless(head: bytes, piece: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return serve


async def test_an_endless_body_is_cut() -> None:
    status, body, _ = await posted(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000))
    assert (status, body) == (200, b"x" * 1024)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"y" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"y" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"y" * 1000),
    ],
)
async def test_an_endless_head_is_cut(head: bytes, piece: bytes) -> None:
    status, _, error = await posted(endless(head, piece))
    assert status is None
    assert "could not be reached" in error


async def test_endless_trailers_are_cut() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
    assert (await posted(endless(head, b"X-A: " + b"y" * 1000 + b"\r\n")))[:2] == (200, b"hi")


async def test_a_body_that_does_not_come_does_not_undo_the_status() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 10\r\n\r\nab")
        await reader.read()

    assert (await posted(serve))[0] == 204


async def test_a_compressed_bomb_stays_packed() -> None:
    packed = gzip.compress(b"\0" * 10_000_000)[:900]
    serve, _ = answering(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    )
    assert (await posted(serve))[1] == packed


async def test_nobody_listens() -> None:
    post = WebhookPost(Guard(private=True))
    answer = await post("http://127.0.0.1:1/", {}, b"")
    assert (answer.status, answer.error.startswith("It could not be reached")) == (None, True)


async def test_connections_that_are_over_are_dropped() -> None:
    serve, _ = answering(OK, times=1)
    async with served(serve) as url:
        transport = KeptTransport()
        async with httpx.AsyncClient(transport=transport) as http:
            await http.post(url, content=b"x")
            async with asyncio.timeout(10):
                while transport._idle:
                    transport.drop_idle()
                    await asyncio.sleep(0.01)
