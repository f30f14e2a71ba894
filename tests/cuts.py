"""A way to a server that can be cut: after so many bytes in one direction, or for everybody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast


class Cuts:
    """`up_after`, `down_after`: bytes after which a connection is broken off; each is used up by one cut.

    `turned_away`: somebody came while it was closed.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.closed = False
        self.cut = 0
        self.turned_away = asyncio.Event()
        self.up_after: int | None = None
        self.down_after: int | None = None
        self.ends: set[End] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def breaks(self, passed: int, *, up: bool) -> bool:
        limit = self.up_after if up else self.down_after
        if self.closed or limit is None or passed <= limit:
            return self.closed
        self.cut += 1
        if up:
            self.up_after = None
        else:
            self.down_after = None
        return True


class End(asyncio.Protocol):
    """One end of a connection: what comes in goes out at the other."""

    def __init__(self, way: Cuts, other: "End | None" = None) -> None:
        self.way = way
        self.near = other is None
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.passed = 0
        self.waiting = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.way.ends.add(self)
        if self.other is None:
            self.other = End(self.way, self)
            self.opening = asyncio.get_running_loop().create_task(self._open(self.other))
        else:
            self.transport.write(bytes(self.other.waiting))

    def data_received(self, data: bytes) -> None:
        self.passed += len(data)
        if self.way.breaks(self.passed, up=self.near):
            self.abort()
        elif self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self.waiting += data

    def connection_lost(self, error: Exception | None) -> None:
        self.way.ends.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def abort(self) -> None:
        for end in (self, self.other):
            if end is not None and end.transport is not None:
                end.transport.abort()

    async def _open(self, other: "End") -> None:
        if self.way.closed:
            self.way.turned_away.set()
            self.abort()
        else:
            await asyncio.get_running_loop().create_connection(lambda: other, "127.0.0.1", self.way.target)


@asynccontextmanager
async def cuts(port: int) -> AsyncIterator[Cuts]:
    """A way to the port on this machine."""
    way = Cuts(port)
    server = await asyncio.get_running_loop().create_server(lambda: End(way), "127.0.0.1", 0)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()
        while way.ends:
            for end in tuple(way.ends):
                end.abort()
            await asyncio.sleep(0)
