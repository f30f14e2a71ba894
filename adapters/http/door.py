"""What holds for every request and every answer, whatever the route: patience, HEAD, and headers that protect."""

import asyncio
from typing import Any

import msgspec
from litestar.types import ASGIApp, Receive, Send

from adapters.http.problems import MEDIA_TYPE, OUTCOME_UNKNOWN, RETRY_AFTER_S, described

SLOW = "The request's body did not arrive in time."
PROTECTING = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"cache-control", b"no-store"),  # answers are somebody's; what may be kept says so itself
)
ENDLESS = "/live"
WAITS = "/generate/sync"
WAITS_S = 120.0  # for the answer, once the request is there


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
        answer_s = self._patience_s + (WAITS_S if scope["path"].endswith(WAITS) else 0.0)
        await _Exchange(receive, send, self._patience_s, answer_s).run(self._app, scope)


class _Exchange:
    """One request and its answer. One timer for both: asyncio.timeout would be set anew with every message."""

    def __init__(self, receive: Receive, send: Send, patience_s: float, answer_s: float) -> None:
        self._receive = receive
        self._send = send
        self._patience_s = patience_s
        self._answer_s = answer_s
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._heard = self._loop.time()
        self._received = self._started = self._given_up = False

    async def run(self, app: ASGIApp, scope: Any) -> None:
        self._timer = self._loop.call_later(self._patience_s, self._look)
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not self._given_up or (self._task is not None and self._task.uncancel() > 0):
                raise
            await self._give_up(_has_body(scope))
        finally:
            self._timer.cancel()

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received = not message.get("more_body", False)
            self._heard = self._loop.time()
        return message

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            self._timer.cancel()
            headers = list(message["headers"])
            named = {name for name, _ in headers}
            headers += [each for each in PROTECTING if each[0] not in named]
            message = {**message, "headers": headers}
        await self._send(message)

    def _look(self) -> None:
        patience_s = self._answer_s if self._received else self._patience_s
        left_s = self._heard + patience_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        elif not self._started and self._task is not None:
            self._given_up = True
            self._task.cancel()

    async def _give_up(self, has_body: bool) -> None:
        status, title, detail = 503, "Temporarily unavailable", OUTCOME_UNKNOWN
        if has_body and not self._received:
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


def _has_body(scope: Any) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )
