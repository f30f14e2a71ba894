"""uvicorn's WebSocket protocol without its patience.

By itself it answers every ping of whoever reads nothing, keeps the pieces of a message without end, and waits for ever
until its last words are read.
"""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_UNREAD_BYTES = (
    256 * 1024
)  # of answers to pings; who is told something is told it by the application, which counts
MAX_PIECES = 256  # of one message: what is said to us is short, and empty pieces have no size
LAST_WORDS_S = 10.0


class PatientSocketProtocol(WebSocketsSansIOProtocol):
    """Hangs up on whoever costs memory and gives nothing for it."""

    last_words_s = LAST_WORDS_S

    def handle_ping(self) -> None:
        if self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.transport.abort()
        else:
            super().handle_ping()

    def handle_cont(self, event: Any) -> None:
        if len(self.frames) < MAX_PIECES:
            super().handle_cont(event)
        else:
            self.frames = []
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        if not self.disconnected:
            self.loop.call_later(self.last_words_s, self.transport.abort)
