"""An HTTP/1.1 transport for httpx that costs a tenth of its own: kept connections, httptools, no pool of locks.

Hot paths call `handle_async_request` themselves; httpx.AsyncClient takes it as `transport`. It knows no
proxies, no HEAD, and reads a request's body before sending it.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

import httpx

from adapters.outbound.connection import Connection

IDLE_S = 4.0  # uvicorn closes an idle connection after 5
CONNECT_S = 10.0
ANSWER_S = 60.0
SAFE = {"GET", "PUT", "DELETE"}  # may be said again when a kept connection turns out to be dead

Origin = tuple[bool, str, int]
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses to connect to for a host and a port, in turn. Raises httpx.ConnectError."""


class Body(httpx.AsyncByteStream):
    """The rest of an answer. Its connection goes back when it is read, and is closed when it is not."""

    def __init__(
        self, transport: "KeptTransport", origin: Origin, connection: Connection, wait_s: float
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._connection = connection
        self._wait_s = wait_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            if (chunk := self._connection.chunk_at_hand()) is None:
                try:
                    async with asyncio.timeout(self._wait_s):
                        chunk = await self._connection.chunk()
                except TimeoutError as error:
                    raise httpx.ReadTimeout("The answer did not go on.") from error
            if not chunk:
                return
            yield chunk

    async def aclose(self) -> None:
        self._transport.give_back(self._origin, self._connection)


class KeptTransport(httpx.AsyncBaseTransport):
    """Times out by `extensions={"timeout": {"read": seconds}}`, or after a minute of silence.

    As httpx's own it takes `extensions={"target": bytes}` for what stands after the host: one URL for many.
    `extensions={"repeatable": True}`: may be said again like a GET, whatever it is.
    `resolve`: looks names up in our stead; what it gives is connected to, whatever the name means by then.
    `most_bytes`: the longest answer, its head included.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        *,
        resolve: Resolve | None = None,
        most_bytes: int | None = None,
    ) -> None:
        self._context = context
        self._resolve = resolve
        self._connect = partial(Connection, most_bytes)
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        secure = url.scheme == "https"
        origin = (secure, url.host, url.port or (443 if secure else 80))
        body = await request.aread()
        limits = request.extensions.get("timeout", {})
        wait_s, connect_s = limits.get("read") or ANSWER_S, limits.get("connect") or CONNECT_S
        repeatable = request.method in SAFE or request.extensions.get("repeatable", False)
        head = _head(request, len(body))
        while True:
            connection, kept = await self._connection(origin, connect_s)
            try:
                async with asyncio.timeout(wait_s):
                    await connection.send(head, body)
                    status, headers = await connection.head()
                break
            except TimeoutError as error:
                connection.close()
                raise httpx.ReadTimeout("No answer in time.") from error
            except httpx.TransportError:
                connection.close()
                if not kept or not repeatable:
                    raise
            except asyncio.CancelledError:
                connection.close()
                raise
        return httpx.Response(
            status, headers=headers, stream=Body(self, origin, connection, wait_s), request=request
        )

    def give_back(self, origin: Origin, connection: Connection) -> None:
        if connection.reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle[origin].append(connection)
        else:
            connection.close()

    def drop_idle(self) -> None:
        """Close what nobody will use again."""
        now = asyncio.get_running_loop().time()
        for origin, connections in list(self._idle.items()):
            for connection in connections:
                if now - connection.idle_since >= IDLE_S:
                    connection.close()
            self._idle[origin] = [each for each in connections if each.reusable]
            if not self._idle[origin]:
                del self._idle[origin]

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _connection(self, origin: Origin, connect_s: float) -> tuple[Connection, bool]:
        loop = asyncio.get_running_loop()
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.reusable and loop.time() - connection.idle_since < IDLE_S:
                return connection, True
            connection.close()
        try:
            async with asyncio.timeout(connect_s):
                return await self._opened(origin), False
        except TimeoutError as error:
            raise httpx.ConnectTimeout("No connection in time.") from error

    async def _opened(self, origin: Origin) -> Connection:
        """Raises httpx.ConnectError."""
        loop, (secure, host, port) = asyncio.get_running_loop(), origin
        addresses = [host] if self._resolve is None else await self._resolve(host, port)
        context = (self._context or _default_context()) if secure else None
        named = host if secure else None
        failure = httpx.ConnectError("The host's name has no address.")
        for address in addresses:
            try:
                _, connection = await loop.create_connection(
                    self._connect, address, port, ssl=context, server_hostname=named
                )
                return connection
            except OSError as error:
                failure = httpx.ConnectError(str(error))
                failure.__cause__ = error
        raise failure


def _head(request: httpx.Request, length: int) -> bytes:
    target = request.extensions.get("target") or request.url.raw_path
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), target)]
    lines += [
        b"%b: %b" % (name, value)
        for name, value in request.headers.raw
        if name.lower() not in (b"content-length", b"transfer-encoding", b"connection")
    ]
    if length or request.method in ("POST", "PUT", "PATCH"):
        lines.append(b"content-length: %d" % length)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _default_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()
