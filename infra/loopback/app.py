"""A port of one's own machine that is one account's ComfyUI: each request goes on with the account's key.

For programs that can send no key. No page of another site gets anything through it: neither by asking across origins,
nor by a name of its own that it lets lead to this machine.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from adapters.http.gateway.identity import same_origin

# ASGI's messages are plain dicts
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]

BELOW = b"/editor"  # all that is at /comfy/, and the editor at /
NAMES = ("127.0.0.1", "localhost", "[::1]")
NOT_ON = frozenset(
    {
        *(b"host", b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
        *(b"cookie", b"authorization", b"x-api-key", b"origin", b"referer", b"forwarded", b"comfy-user"),
        *(b"proxy-authorization", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
    }
)
"""What concerns one connection only, or says who asks and from where."""
NOT_BACK = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"set-cookie", b"trailer"}
)
UP = re.compile(rb"(^|/)(\.|%2e){2}(/|$)", re.IGNORECASE)
TIMEOUTS = httpx.Timeout(None, connect=10.0)
REFUSED = "This port serves programs of this machine only."
AWAY = "ComfyUI Plus cannot be reached at {url}."
GOING_AWAY, INTERNAL = 1001, 1011
MAX_CLOSE_REASON = 120  # bytes; 123 fit


class Loopback:
    def __init__(self, url: str, key: str, port: int) -> None:
        self._url = httpx.URL(url.rstrip("/"))
        self._key = key
        self._hosts = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())
        self._http = httpx.AsyncClient(
            timeout=TIMEOUTS, trust_env=False, limits=httpx.Limits(max_connections=None)
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http_call(scope, receive, send)
            case "websocket":
                await self._socket(scope, receive, send)

    def is_ours(self, scope: Any) -> bool:
        """Whether a program asks, or a page that this port itself has given."""
        headers = dict(scope["headers"])
        if headers.get(b"host", b"").decode("latin-1").lower() not in self._hosts:
            return False
        from_browser = b"origin" in headers or b"sec-fetch-site" in headers
        return not from_browser or same_origin(headers, scope.get("method", "WEBSOCKET"))

    async def _http_call(self, scope: Any, receive: Receive, send: Send) -> None:
        if not self.is_ours(scope) or UP.search(scope["raw_path"]):
            await _said(send, 403, REFUSED)
            return
        headers = [each for each in scope["headers"] if _goes_on(each[0])]
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        request = self._http.build_request(
            scope["method"], self._there(scope), content=_pieces(receive) if has_body else None
        )
        request.headers = httpx.Headers(
            [(b"host", self._url.netloc), *headers, (b"x-api-key", self._key.encode())]
        )
        if has_body and b"content-length" not in dict(headers):
            request.headers["transfer-encoding"] = "chunked"
        try:
            answer = await self._http.send(request, stream=True)
        except httpx.TransportError:
            await _said(send, 502, AWAY.format(url=self._url))
            return
        try:
            await _passed_back(answer, send)
        finally:
            await answer.aclose()

    async def _socket(self, scope: Any, receive: Receive, send: Send) -> None:
        await receive()  # the wish to connect
        if not self.is_ours(scope) or UP.search(scope["raw_path"]):
            await send({"type": "websocket.close", "code": 1008, "reason": REFUSED})
            return
        there = self._there(scope)
        address = str(there.copy_with(scheme="wss" if there.scheme == "https" else "ws"))
        key = {"X-API-Key": self._key}
        try:
            async with connect(
                address,
                additional_headers=key,
                max_size=None,
                compression=None,
                proxy=None,
                user_agent_header=None,
            ) as upstream:
                await send({"type": "websocket.accept"})
                await _together(upstream, receive, send)
        except (InvalidHandshake, OSError, TimeoutError):
            with contextlib.suppress(RuntimeError):  # it was accepted already
                await send({"type": "websocket.close", "code": INTERNAL, "reason": ""})

    def _there(self, scope: Any) -> httpx.URL:
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        path = self._url.raw_path.rstrip(b"/") + BELOW + scope["raw_path"].partition(b"?")[0] + query
        return self._url.copy_with(raw_path=path)


async def _together(upstream: ClientConnection, receive: Receive, send: Send) -> None:
    """Until one side has gone; then the other one is told."""
    down = asyncio.create_task(_down(upstream, send))
    up = asyncio.create_task(_up(receive, upstream))
    done, left = await asyncio.wait((down, up), return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    await asyncio.wait(left) if left else None
    for task in done:
        task.result()


async def _down(upstream: ClientConnection, send: Send) -> None:
    code, reason = GOING_AWAY, ""
    try:
        async for message in upstream:
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
        code, reason = upstream.close_code or GOING_AWAY, upstream.close_reason or ""
    except ConnectionClosed as error:
        if error.rcvd is not None:
            code, reason = error.rcvd.code, error.rcvd.reason
    await send(
        {
            "type": "websocket.close",
            "code": code,
            "reason": reason.encode()[:MAX_CLOSE_REASON].decode("utf-8", "ignore"),
        }
    )


async def _up(receive: Receive, upstream: ClientConnection) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            await upstream.close()
            return
        said = message.get("text")
        with contextlib.suppress(ConnectionClosed):
            await upstream.send(said if said is not None else message.get("bytes") or b"")


async def _passed_back(answer: httpx.Response, send: Send) -> None:
    headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in NOT_BACK]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    async for piece in answer.aiter_raw():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx.ReadError("The program has gone away in the middle of its request.")
        more = message.get("more_body", False)
        yield message.get("body", b"")


def _goes_on(name: bytes) -> bool:
    return name not in NOT_ON and not name.startswith(b"sec-")


async def _said(send: Send, status: int, text: str) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text.encode())).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode(), "more_body": False})
