"""One HTTP/1.1 connection: a request out, its answer in, and again. Parsed by httptools."""

import asyncio
from collections import deque
from typing import cast

import httptools
import httpx

Headers = list[tuple[bytes, bytes]]

HIGH_WATER = 1 << 20  # unread bytes at which the peer is told to wait


class Connection(asyncio.Protocol):
    """Used by one exchange at a time. `reusable` when the last answer is read to its end.

    `most_bytes`: of one answer, its head included; None: any number.
    """

    def __init__(self, most_bytes: int | None = None) -> None:
        self._most_bytes = most_bytes
        self.reusable = True
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused = False
        self._start()

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._received = 0
        self._head = False
        self._complete = False
        self._error: httpx.TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def send(self, head: bytes, body: bytes) -> None:
        """Write a request. Raises httpx.WriteError."""
        self._start()
        if self._transport is None or self._transport.is_closing():
            raise httpx.WriteError("The connection was closed.")
        self.reusable = False
        self._transport.write(head + body if len(body) < 65536 else head)
        if len(body) >= 65536:
            self._transport.write(body)
        if self._writable is not None:
            await self._writable

    async def head(self) -> tuple[int, Headers]:
        """Status and headers. Raises httpx.ReadError, httpx.RemoteProtocolError."""
        while not self._head:
            await self._wait()
        return self._parser.get_status_code(), self._headers

    async def chunk(self) -> bytes:
        """The next piece of the body, b"" at its end."""
        while (chunk := self.chunk_at_hand()) is None:
            await self._wait()
        return chunk

    def chunk_at_hand(self) -> bytes | None:
        """The same, None where it has yet to come."""
        if not self._chunks:
            return b"" if self._complete else None
        chunk = self._chunks.popleft()
        self._unread -= len(chunk)
        if self._paused and self._unread < HIGH_WATER and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        if self.reusable:  # nobody asked: an answer to nothing
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._error = httpx.RemoteProtocolError(f"The answer is not HTTP: {error}")
            self.close()
        self._received += len(data)
        if self._most_bytes is not None and self._received > self._most_bytes and not self._complete:
            self._error = httpx.RemoteProtocolError(f"The answer has more than {self._most_bytes} bytes.")
            self.close()
        self._wake()

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        self._transport = None
        if self._head and not self._complete and not self._delimited():
            self._complete = True
        elif not self._complete and self._error is None:
            self._error = httpx.RemoteProtocolError(
                "The connection was closed before the answer was complete."
            )
        self.resume_writing()
        self._wake()

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _delimited(self) -> bool:
        """Whether the body's length is told; otherwise it ends with the connection."""
        return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    # what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head:  # what follows a body in chunks is for nobody
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            self._headers = []  # 100 Continue and its kin: the answer is still to come
            return
        self._head = True

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._unread += len(body)
        if self._unread >= HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._head:
            self._complete = True
            self.reusable = self._parser.should_keep_alive()
