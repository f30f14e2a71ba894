"""ComfyUI's WebSocket: one connection, opened again whenever it closes or falls silent.

Two sockets with one client id take each other's messages away, and the close of the older one makes the newer
one deaf: so each connection has a client id of its own, but for one that continues while prompts run under it,
in this process or in one that has died.
Nobody may keep the reader waiting: one unread socket stops the messages of every client.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import quote
from uuid import uuid4

import httpx
from msgspec import json
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from adapters.comfyui.client import Address
from workflows.protocol.messages import FEATURE_PREVIEW_METADATA, FeatureFlags

logger = logging.getLogger(__name__)

MAX_FRAME = 64 << 20  # full-size pictures come through the preview frames
PING_S, PONG_S = 20.0, 60.0  # ComfyUI never pings; while it loads a model its answers are late
DEAF_S = 3.0  # every prompt that is queued is told to every socket at once
OPENING_S = 1.0
PAUSES_S = (0.1, 0.3, 1.0, 2.0)
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses to connect to for a host and a port. Raises httpx.ConnectError."""
FLAGS = json.encode(FeatureFlags({FEATURE_PREVIEW_METADATA: True})).decode()


class Direct(connect):
    """Goes nowhere else than where it was sent: a redirect would take what opens the backend elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Socket:
    """`line` is the open connection, None while there is none; a new one is a new object."""

    def __init__(
        self,
        address: Address,
        receive: Callable[[str | bytes], None],
        closed: Callable[[], bool],
        resolve: Resolve | None = None,
    ) -> None:
        """`closed` is called when a connection is over: does anything still run under its client id?"""
        self.client_id = uuid4().hex
        self.line: object | None = None
        self._url = address.url.replace("http", "ws", 1).rstrip("/")
        self._headers = address.headers
        self._receive = receive
        self._closed = closed
        self._resolve = resolve
        self._expecting_since: float | None = None
        self._tried = asyncio.Event()

    async def tried(self) -> None:
        """Give a connection that is being opened a moment: what is submitted before it is heard of by asking only."""
        with suppress(TimeoutError):
            async with asyncio.timeout(OPENING_S):
                await self._tried.wait()

    def expect_status(self) -> None:
        """A prompt is queued now: if no status follows, the socket is deaf."""
        if self._expecting_since is None and self.line is not None:
            self._expecting_since = asyncio.get_running_loop().time()

    def expect_nothing(self) -> None:
        """A status was heard, or the prompt was not queued after all."""
        self._expecting_since = None

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            try:
                async with await self._connect() as connection:
                    failures = 0
                    deaf = await self._read(connection)
            except (
                OSError,
                httpx.ConnectError,
                InvalidHandshake,
                InvalidURI,
                WebSocketException,
                TimeoutError,
            ):
                deaf = False
                failures += 1
            if self.line is None:
                self._tried.set()
            else:
                self._tried.clear()
            self.line = None
            self._expecting_since = None
            if not self._closed() or deaf:
                self.client_id = uuid4().hex
            await asyncio.sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])

    async def _connect(self) -> connect:
        """Raises httpx.ConnectError, besides what connecting raises."""
        url = httpx.URL(self._url)
        reached: dict[str, Any] = {}
        if self._resolve is not None:
            port = url.port or (443 if url.scheme == "wss" else 80)
            addresses = await self._resolve(url.host, port)
            reached = {"host": addresses[0]}  # what the name means by now is of no matter
        return Direct(
            f"{self._url}/ws?clientId={quote(self.client_id)}",
            additional_headers=self._headers,
            compression=None,
            max_size=MAX_FRAME,
            ping_interval=PING_S,
            ping_timeout=PONG_S,
            close_timeout=1,
            proxy=None,
            logger=_discreet(),
            **reached,
        )

    async def _read(self, connection: ClientConnection) -> bool:
        """Until the connection ends, or turns out to be deaf: then True."""
        await connection.send(FLAGS)  # must be the very first message
        self.line = connection
        self._tried.set()
        guard = asyncio.create_task(self._listen_for_silence(connection))
        try:
            async for message in connection:
                self._receive(message)
            return guard.done()
        finally:
            guard.cancel()

    async def _listen_for_silence(self, connection: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        while self._expecting_since is None or loop.time() - self._expecting_since < DEAF_S:
            await asyncio.sleep(DEAF_S / 3)
        logger.warning("backend socket is deaf", extra={"client": self.client_id})
        await connection.close()


def _discreet() -> logging.Logger:
    """The library's debug messages hold all headers, and with them what opens the backend."""
    wire = logger.getChild("wire")
    wire.setLevel(logging.INFO)
    return wire
