"""The open WebSockets by client id, and the one task that delivers to all of them.

As in the original, one reader that does not read holds up everybody's messages, and of two sockets
with one client id the newer gets everything, until either closes.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from msgspec import Struct

from infra.sandbox.settings import Faults
from workflows.protocol.frames import PreviewMetadata, encode_preview, encode_preview_with_metadata
from workflows.protocol.messages import (
    FEATURE_PREVIEW_METADATA,
    FeatureFlags,
    Message,
    decode_message,
    encode_message,
)

FEATURES = {FEATURE_PREVIEW_METADATA: True, "max_upload_size": 104857600}
Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]


class Socket(Struct):
    """`flags` is what the client said it can do, in its first message."""

    send: Send
    flags: dict[str, Any]

    @property
    def wants_metadata(self) -> bool:
        return bool(self.flags.get(FEATURE_PREVIEW_METADATA))


class Delivery(Struct, frozen=True):
    """Bytes for one client (`to`) or for all; a preview is meant for sockets that do or do not want metadata."""

    payload: bytes
    to: str | None
    type: str = ""
    metadata: bool | None = None


class Sockets:
    """Told from any thread, delivered in order on the event loop."""

    def __init__(self, faults: Callable[[], Faults]) -> None:
        self._faults = faults
        self._sockets: dict[str, Socket] = {}
        self._waiting: deque[Delivery] = deque()
        self._grown = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._drops = 0

    def tell(self, message: Message, to: str | None) -> None:
        if self._listeners(to):
            self._push(Delivery(encode_message(message), to, str(message.__struct_config__.tag)))

    def text(self, frame: bytes, to: str | None) -> None:
        if self._listeners(to):
            self._push(Delivery(frame, to))

    def wants_preview(self, to: str | None, metadata: bool) -> bool:
        return any(socket.wants_metadata == metadata for socket in self._listeners(to))

    def preview(self, image: bytes, about: PreviewMetadata, to: str | None, metadata: bool) -> None:
        frame = (
            encode_preview_with_metadata(image, about)
            if metadata
            else encode_preview(image, about.image_type)
        )
        self._push(Delivery(frame, to, metadata=metadata))

    def _listeners(self, to: str | None) -> list[Socket]:
        if to is None:
            return list(self._sockets.values())
        socket = self._sockets.get(to)
        return [socket] if socket else []

    def _push(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        if not self._grown.is_set():  # set means: the deliverer has yet to look
            self._loop.call_soon_threadsafe(self._grown.set)

    async def deliver(self) -> None:
        """Run for ever: hand on what was told, one message after the other."""
        while True:
            await self._grown.wait()
            self._grown.clear()
            while self._waiting:
                await self._deliver(self._waiting[0])
                self._waiting.popleft()

    async def _deliver(self, delivery: Delivery) -> None:
        faults = self._faults()
        if faults.deaf:
            return
        for socket in self._listeners(delivery.to):
            if delivery.metadata is None or delivery.metadata == socket.wants_metadata:
                for _ in range(2 if faults.send_twice else 1):
                    await _send(socket, delivery)
        if (
            delivery.type
            and delivery.type == faults.drop_sockets_at
            and self._drops < faults.drop_sockets_times
        ):
            self._drops += 1
            for socket in self._listeners(None):
                cut(socket.send)

    async def serve(
        self, scope: Any, receive: Receive, send: Send, greeting: Callable[[str], list[Message]]
    ) -> None:
        """One connection, from its opening to its end."""
        await receive()
        await send({"type": "websocket.accept"})
        sid = _client_id(scope["query_string"]) or uuid4().hex
        socket = Socket(send, {})
        self._sockets[sid] = socket
        first = True
        try:
            for message in greeting(sid):
                await send({"type": "websocket.send", "text": encode_message(message).decode()})
            while (received := await receive())["type"] != "websocket.disconnect":
                message_or_none = decode_message(received.get("text") or "")
                if first and isinstance(message_or_none, FeatureFlags):
                    socket.flags = message_or_none.body
                    await send(
                        {"type": "websocket.send", "text": encode_message(FeatureFlags(FEATURES)).decode()}
                    )
                first = False
        except OSError:
            pass  # gone while it was greeted
        finally:
            self._sockets.pop(sid, None)  # whoever is registered under this id by now


async def _send(socket: Socket, delivery: Delivery) -> None:
    try:
        if delivery.type:
            await socket.send({"type": "websocket.send", "text": delivery.payload.decode()})
        else:
            await socket.send({"type": "websocket.send", "bytes": delivery.payload})
    except (OSError, RuntimeError):
        pass  # closed meanwhile: its own task takes it out


def cut(send: Send) -> None:
    """Drop a connection as a crash would: no close frame, no answer. `send` is the server protocol's own method."""
    protocol: Any = getattr(send, "__self__")  # noqa: B009 - typed as a plain callable
    protocol.transport.abort()


def _client_id(query: bytes) -> str:
    return parse_qs(query.decode("latin-1")).get("clientId", [""])[0]
