"""Clients that mean no good, or are broken: they cost little, lose nothing of others, and are hung up on."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import quote, urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.http.gateway.desk import MAX_SOCKETS
from infra.processes.api import WISH_BYTES
from tests.http.person import Person
from tests.http.whole import Whole

PATIENCE_S = 20.0
TEXT, CONTINUED, PING, PONG, CLOSE = 1, 0, 9, 10, 8
FIN, MASKED = 0x80, 0x80
ENOUGH_BYTES = 48 * 1024 * 1024  # more than kernel and server may keep for one who reads nothing


def frame(
    opcode: int, body: bytes = b"", *, fin: bool = True, mask: bool = True, length: int | None = None
) -> bytes:
    """As it goes over the wire; masked with zeros."""
    size = len(body) if length is None else length
    head = bytes([(FIN if fin else 0) | opcode])
    flag = MASKED if mask else 0
    if size < 126:
        head += bytes([flag | size])
    elif size < 1 << 16:
        head += struct.pack("!BH", flag | 126, size)
    else:
        head += struct.pack("!BQ", flag | 127, size)
    return head + (bytes(4) if mask else b"") + body


class Raw:
    """A socket after the handshake, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))
        await self.writer.drain()

    async def ended(self) -> bool:
        """Whether the server hangs up."""
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while await self.reader.read(1 << 16):
                    pass
        return True


@asynccontextmanager
async def raw(at: Whole, person: Person, sid: str = "raw") -> AsyncIterator[Raw]:
    """Its window is small: what it does not read soon waits at the server."""
    address = urlsplit(at.url)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=1024)
    try:
        writer.write(
            f"GET /comfy/ws?clientId={sid} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n"
            f"Authorization: {person.http.headers['Authorization']}\r\n\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def listening(at: Whole, person: Person, sid: str) -> AsyncIterator[ClientConnection]:
    url = f"{at.url.replace('http', 'ws', 1)}/comfy/ws?clientId={sid}"
    said = {"Authorization": person.http.headers["Authorization"]}
    async with connect(url, additional_headers=said, proxy=None, close_timeout=1) as opened:
        assert '"status"' in str(await opened.recv())
        yield opened


async def closed(opened: ClientConnection) -> bool:
    """Whether the server ends it, for want of room."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await opened.recv()
    return opened.close_code is not None


async def hears_still(opened: ClientConnection) -> bool:
    async with asyncio.timeout(PATIENCE_S):
        await (await opened.ping())
    return True


@pytest.mark.parametrize(
    "said",
    [
        frame(TEXT, b"{}", mask=False),
        frame(TEXT, length=1 << 40),
        frame(TEXT, bytes(WISH_BYTES + 1)),
        frame(TEXT, bytes(WISH_BYTES), fin=False) + frame(CONTINUED, bytes(1)),
        frame(CONTINUED, b"of nothing"),
        frame(TEXT, b"\xff\xfe"),
        frame(3, b"no such kind"),
        frame(PING, bytes(126)),
        frame(PING, b"x", fin=False),
        frame(CLOSE, b"x"),
        bytes([0xF1]) + frame(TEXT, b"{}")[1:],
    ],
    ids=lambda said: said[:3].hex(),
)
async def test_frames_that_are_none_end_their_own_line_and_no_other(
    served: Whole, ann: Person, bob: Person, said: bytes
) -> None:
    async with listening(served, bob, "bob") as opened, raw(served, ann) as line:
        with suppress(ConnectionError):
            await line.send(said)
        assert await line.ended()
        assert await hears_still(opened)


async def test_who_sends_pings_and_reads_nothing_is_hung_up_on(
    served: Whole, ann: Person, bob: Person
) -> None:
    """Each is answered: the answers would wait in our memory for ever."""
    pings = frame(PING, bytes(125)) * 512
    async with listening(served, bob, "bob") as opened, raw(served, ann) as line:
        sent = 0
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while sent < ENOUGH_BYTES:
                    await line.send(pings)
                    sent += len(pings)
        assert sent < ENOUGH_BYTES
        assert await hears_still(opened)


async def test_a_message_of_endless_empty_pieces_is_not_waited_for(served: Whole, ann: Person) -> None:
    pieces = frame(CONTINUED, fin=False) * 4096
    async with raw(served, ann) as line:
        sent = 0
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                await line.send(frame(TEXT, fin=False))
                while sent < ENOUGH_BYTES:
                    await line.send(pieces)
                    sent += len(pieces)
        assert sent < ENOUGH_BYTES


async def test_a_flood_of_words_keeps_nobody_else_from_being_heard(
    served: Whole, ann: Person, bob: Person
) -> None:
    words = frame(TEXT, b'{"type":"nonsense"}') * 2_000
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(listening(served, bob, "bob"))
        lines = [await stack.enter_async_context(raw(served, ann, f"s{number}")) for number in range(8)]
        flood = [asyncio.create_task(line.send(words)) for line in lines]
        assert await hears_still(opened)
        await asyncio.gather(*flood)
        for line in lines:  # whatever they said, they are still there
            await line.send(frame(PING, b"still"))
        await asyncio.gather(*(line.reader.readuntil(b"still") for line in lines))


async def test_who_comes_again_and_again_under_one_name_takes_the_place_of_what_it_left(
    served: Whole, ann: Person, bob: Person
) -> None:
    """A network that breaks leaves half of each connection here: the newest has to be let in all the same."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(listening(served, bob, "same"))
        lines = [
            await stack.enter_async_context(listening(served, ann, "same")) for _ in range(MAX_SOCKETS + 20)
        ]
        assert await hears_still(lines[-1])
        for first in lines[:20]:
            assert await closed(first)
        async with connect(
            f"{served.url.replace('http', 'ws', 1)}/comfy/ws?clientId=another",
            additional_headers={"Authorization": ann.http.headers["Authorization"]},
            proxy=None,
        ) as too_many:
            with pytest.raises(ConnectionClosed, match="4429"):
                await too_many.recv()
        assert await hears_still(opened)


async def test_thousands_who_are_nobody_cost_nothing_and_keep_nobody_out(served: Whole, ann: Person) -> None:
    """Rejected before the handshake, as often as they come."""
    url = f"{served.url.replace('http', 'ws', 1)}/comfy/ws"

    async def knock(number: int) -> int:
        wrong = {"Cookie": f"comfyplus_session={os.urandom(60).hex()}"} if number % 2 else {}
        try:
            async with connect(url, additional_headers=wrong, proxy=None):
                return 101
        except InvalidStatus as refusal:
            return int(refusal.response.status_code)

    for _ in range(20):
        assert set(await asyncio.gather(*map(knock, range(100)))) == {403}
    async with listening(served, ann, "somebody") as opened:
        assert await hears_still(opened)


PATHS = [
    *("..", "../x", "a/../../x", "/etc/passwd", "//etc/passwd", "..\\x", "a\\..\\..\\x", "C:\\x", "./../x"),
    *(
        "%2e%2e/x",
        "%2e%2e%2fx",
        "..%2fx",
        "%252e%252e%252fx",
        "..%c0%afx",
        "．．/x",
        "‥/x",
        "a/‥/‥/x",
        "..／x",
    ),
    *("x\0.json", "x\n.json", "\x7f", "a" * 300, "/".join("a" * 9), "/".join(["b" * 200] * 9), "…", "a/./b"),
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path)[:24])
async def test_no_name_leads_to_anything_but_ones_own(ann: Person, bob: Person, path: str) -> None:
    """Whatever is taken as a name is one, of its account; all else is refused, and nothing breaks."""
    secret = b"only ann's"
    await ann.http.post("/comfy/userdata/x", content=secret)
    named = quote(path, safe="")
    kept = await bob.http.post(f"/comfy/userdata/{named}", content=b"bob's")
    assert kept.status_code in (200, 400, 403, 404), kept.text  # 404: clients leave `..` out of an address
    for address, asked in (
        (f"/comfy/userdata/{named}", {}),
        (f"/comfy/api/userdata/{quote(named, safe='')}", {}),
        ("/comfy/userdata", {"dir": path, "recurse": "true", "full_info": "true"}),
        ("/comfy/v2/userdata", {"path": path}),
        ("/comfy/view", {"filename": path}),
        ("/comfy/view", {"filename": path, "type": "input"}),
        ("/comfy/view", {"filename": "x", "subfolder": path, "type": "input"}),
        ("/comfy/view_metadata/loras", {"filename": path}),
        (f"/comfy/models/{named}", {}),
        (f"/comfy/extensions/{named}", {}),
        (f"/editor/{named}", {}),
    ):
        answer = await bob.http.get(address, params=asked)
        assert answer.status_code in (200, 400, 401, 403, 404, 303), (address, answer.status_code)
        assert secret not in answer.content
        assert b"root:" not in answer.content
    moved = await bob.http.post(f"/comfy/userdata/{named}/move/{quote('../' + path, safe='')}")
    assert moved.status_code in (200, 400, 403, 404)
    assert (await ann.http.get("/comfy/userdata/x")).content == secret
