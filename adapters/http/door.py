"""What holds for every request and every answer, whatever the route: patience, HEAD, and headers that protect."""

import asyncio
from typing import Any

import msgspec
from litestar.types import ASGIApp, Receive, Send

from adapters.http.problems import MEDIA_TYPE, OUTCOME_UNKNOWN, RETRY_AFTER_S, described

SLOW = "The request's body did not arrive in time."
PROTECTING = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-site",
    b"cache-control": b"no-store",  # answers are somebody's; what may be kept says so itself
}
ENDLESS = "/live"


class Door:
    """The application as the server is given it."""

    def __init__(self, app: ASGIApp, patience_s: float) -> None:
        self._app = app
        self._patience_s = patience_s

    # ASGI's scope is a plain dict
    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD" and not scope["path"].endswith(ENDLESS):
            scope = {**scope, "method": "GET"}  # the server leaves the body out
        await _Exchange(receive, send, self._patience_s).run(self._app, scope)


class _Exchange:
    """One request and its answer."""

    def __init__(self, receive: Receive, send: Send, patience_s: float) -> None:
        self._receive = receive
        self._send = send
        self._patience_s = patience_s
        self._timeout = asyncio.timeout(patience_s)
        self._received = self._started = False

    async def run(self, app: ASGIApp, scope: Any) -> None:
        try:
            async with self._timeout:
                await app(scope, self.receive, self.send)
        except TimeoutError:
            if self._started or not self._timeout.expired():
                raise
            await self._give_up()

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] == "http.request" and not self._started:
            self._received = not message.get("more_body", False)
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._patience_s)
        return message

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            if not self._timeout.expired():
                self._timeout.reschedule(None)
            headers = list(message["headers"])
            named = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in PROTECTING.items() if name not in named]
            message = {**message, "headers": headers}
        await self._send(message)

    async def _give_up(self) -> None:
        status, title, detail = (503, "Temporarily unavailable", OUTCOME_UNKNOWN)
        if not self._received:
            status, title, detail = 408, "Too slow", SLOW
        body = msgspec.json.encode(described(status, title, detail))
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"retry-after", RETRY_AFTER_S.encode()),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
