"""GET /ws: a client's socket. It hears of its account's queue, and of the prompts that were sent under its name.

Who reads too slowly loses previews first, then the line: nobody else notices.
"""

import asyncio
from collections import deque
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from litestar.types import Receive, Send

from adapters.http.callers import Caller
from adapters.http.gateway.desk import Desk, Desks
from adapters.http.inputs import MAX_BYTES
from adapters.http.presence import Guests
from workflows.protocol.frames import PreviewMetadata, encode_preview, encode_preview_with_metadata
from workflows.protocol.messages import (
    FEATURE_PREVIEW_METADATA,
    FeatureFlags,
    Message,
    decode_message,
    encode_message,
)

MAX_SID = 200
MAX_WAITING = 2_000  # messages
MAX_WAITING_BYTES = 4 * 1024 * 1024
LOGGED_OUT, TOO_SLOW, TOO_MANY, AWAY = 4401, 4408, 4429, 1013


def sid_of(query: bytes) -> str:
    """The name that the client has from before; else a new one."""
    asked = parse_qs(query.decode("latin-1")).get("clientId", [""])[-1]
    return asked if 0 < len(asked) <= MAX_SID and asked.isprintable() else uuid4().hex


class GatewaySocket:
    """One connection, from its acceptance to its end."""

    def __init__(self, sid: str, caller: Caller, receive: Receive, send: Send) -> None:
        self.sid = sid
        self.caller = caller
        self._receive = receive
        self._send = send
        self._waiting: deque[tuple[bool, bytes]] = deque()
        self._size = 0
        self._writing: asyncio.Task[None] | None = None
        self._metadata = False
        self._first = True
        self._closing: tuple[int, str] | None = None
        self._task = asyncio.current_task()

    async def run(self, desks: Desks, guests: Guests) -> None:
        guests.enter(self)
        try:
            async with desks.seat(self.caller.account) as desk:
                await self._sit(desk)
        except asyncio.CancelledError:
            if self._closing is None or (self._task is not None and self._task.uncancel() > 0):
                raise
        finally:
            guests.leave(self)
            if self._writing is not None:
                self._writing.cancel()
        if self._closing is not None:
            code, reason = self._closing
            await _quietly(self._send, {"type": "websocket.close", "code": code, "reason": reason})

    async def _sit(self, desk: Desk) -> None:
        if not await desk.enter(self):
            self._closing = (TOO_MANY, "Too many connections of this account.")
            return
        try:
            while True:
                message: Any = await self._receive()
                if message["type"] == "websocket.disconnect":
                    return
                self._hear(message.get("text"))
        finally:
            desk.leave(self)

    def _hear(self, text: str | None) -> None:
        """A client's very first words may be what it understands; whatever else it says is passed over."""
        first, self._first = self._first, False
        if not first or text is None:
            return
        told = decode_message(text)
        if isinstance(told, FeatureFlags):
            self._metadata = told.body.get(FEATURE_PREVIEW_METADATA) is True
            ours = {FEATURE_PREVIEW_METADATA: True, "max_upload_size": MAX_BYTES}
            self.say(FeatureFlags(ours))

    # what a desk tells it

    def say(self, message: Message) -> None:
        self._put(False, encode_message(message))

    def show(self, image: bytes, media_type: str, node: str, prompt: str) -> None:
        """Only the newest picture waits."""
        for place, (is_picture, frame) in enumerate(self._waiting):
            if is_picture:
                self._size -= len(frame)
                del self._waiting[place]
                break
        if not self._metadata:
            self._put(True, encode_preview(image, media_type))
            return
        about = PreviewMetadata(
            node_id=node,
            prompt_id=prompt,
            display_node_id=node,
            real_node_id=node,
            image_type=media_type,
        )
        self._put(True, encode_preview_with_metadata(image, about))

    def leave(self) -> None:
        self._end(AWAY, "Please come again.")

    def send_away(self) -> None:
        self._end(LOGGED_OUT, "This session has ended.")

    def _put(self, is_picture: bool, frame: bytes) -> None:
        self._waiting.append((is_picture, frame))
        self._size += len(frame)
        if len(self._waiting) > MAX_WAITING or self._size > MAX_WAITING_BYTES:
            self._end(TOO_SLOW, "You read too slowly.")
        elif self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Only while there is something to say: thousands of idle sockets need no task for it."""
        try:
            while self._waiting:
                is_picture, frame = self._waiting.popleft()
                self._size -= len(frame)
                event: Any = {"type": "websocket.send"}
                event["bytes" if is_picture else "text"] = frame if is_picture else frame.decode()
                await self._send(event)
        except OSError:
            self._end(AWAY, "")

    def _end(self, code: int, reason: str) -> None:
        if self._closing is None:
            self._closing = (code, reason)
            if self._task is not None:
                self._task.cancel()


async def _quietly(send: Send, message: Any) -> None:
    try:
        await asyncio.wait_for(send(message), 1)
    except (OSError, RuntimeError, TimeoutError):
        return  # nobody is there any more
