"""uvicorn's HTTP protocol, which by itself waits for ever for the end of a head and takes one of any size."""

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.http.problems import MEDIA_TYPE, described

HEAD_S = 15.0
MAX_HEAD_BYTES = 64 * 1024
TOO_LARGE = f"The request's head has more than {MAX_HEAD_BYTES} bytes."


class PatientProtocol(HttpToolsProtocol):
    """Gives up on a head that is too slow or too large."""

    head_s = HEAD_S

    def __init__(self, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._head: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._forget_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _expect_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(self.head_s, self._too_slow)
            self._head_bytes = 0

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        self._forget_head()
        if self.transport.is_closing():
            return
        body = msgspec.json.encode(described(status, status.phrase.capitalize(), detail))
        head = (
            f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
