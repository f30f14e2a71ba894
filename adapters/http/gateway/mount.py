"""ComfyUI's own interface, one for each account: `/comfy/...`, `/comfy/api/...`, and `/k/<key>/comfy/...`; and beside
the editor's files, `/editor/...`.

Beside the routes of our own, as these match on the raw path and answer errors in ComfyUI's shapes.
"""

from collections.abc import Mapping
from typing import Any

from litestar.types import ASGIApp, Receive, Send

from adapters.http.editor.serving import Editor, is_aside
from adapters.http.gateway.call import Answer, Call, Handler, text
from adapters.http.gateway.identity import who
from adapters.http.gateway.refusals import REFUSALS, failed, refused
from adapters.http.gateway.routes import TABLE
from adapters.http.gateway.shared import shared
from adapters.http.gateway.socket import GatewaySocket, sid_of
from adapters.http.gateway.table import split
from adapters.http.parts import Parts
from adapters.http.presence import Guests
from adapters.http.problems import Malformed
from domain.refusals import NotFound

FIRST = "comfy"
BY_KEY = "k"
EDITOR = "editor"
SOCKET = "ws"


class Gateway:
    def __init__(self, parts: Parts, guests: Guests, beside: ASGIApp) -> None:
        """`beside`: answers whatever is not ours."""
        self._parts = parts
        self._guests = guests
        self._beside = beside
        self._shared = shared(parts)
        self._editor = Editor(parts, self._shared)

    # ASGI's scope is a plain dict
    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not _ours(scope["path"]):
            if is_aside(scope) and (shown := await self._editor.aside(scope)) is not None:
                await _send(shown, send, scope["method"])
            else:
                await self._beside(scope, receive, send)
            return
        if scope["type"] == "http":
            await _send(await self._answered(scope, receive), send, scope["method"])
        else:
            await self._listen(scope, receive, send)

    async def _answered(self, scope: Any, receive: Receive) -> Answer:
        try:
            segments = split(scope["raw_path"].partition(b"?")[0])
            if segments[0] == EDITOR and (page := await self._editor.answer(scope, receive, segments[1:])):
                return page
            key, segments = _place(segments)
            found = _find(scope["method"], segments)
            if isinstance(found, Answer):
                return found
            handler, names = found
            caller = await who(dict(scope["headers"]), key, scope["method"], self._parts)
            return await handler(Call(scope, receive, self._parts, caller, names, self._shared))
        except REFUSALS as error:
            return refused(error)
        except Exception as error:  # the outermost frame of this request
            return failed(error, scope["path"])

    async def _listen(self, scope: Any, receive: Receive, send: Send) -> None:
        """Who may not is refused before the handshake: editors come again three times a second, for ever."""
        try:
            key, segments = _place(split(scope["raw_path"].partition(b"?")[0]))
            await receive()
            if segments != [SOCKET]:
                raise NotFound("There is no socket at this address.")
            caller = await who(dict(scope["headers"]), key, "GET", self._parts)
        except REFUSALS:
            await send({"type": "websocket.close", "code": 4403, "reason": ""})
            return
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        socket = GatewaySocket(sid_of(scope["query_string"]), caller, receive, send)
        await socket.run(self._shared.desks, self._guests)


def _ours(path: str) -> bool:
    first = path[1:].partition("/")[0]
    return first in (FIRST, BY_KEY, EDITOR)


def _place(segments: list[str]) -> tuple[str, list[str]]:
    """The key in the address, and what of the interface is asked for. Raises Malformed."""
    key = ""
    if segments[0] == BY_KEY:
        if len(segments) < 3 or segments[2] != FIRST:
            raise Malformed("Please ask for /k/<key>/comfy/...")
        key, segments = segments[1], segments[2:]
    return key, segments[2:] if segments[1:2] == ["api"] else segments[1:]


def _find(method: str, segments: list[str]) -> tuple[Handler, Mapping[str, str]] | Answer:
    handler, names, elsewhere = TABLE.find(method, segments)
    if handler is not None:
        return handler, names
    return text("405: Method Not Allowed", 405) if elsewhere else text("404: Not Found", 404)


async def _send(answer: Answer, send: Send, method: str) -> None:
    headers = list(answer.headers)
    if answer.media_type:
        headers.append((b"content-type", answer.media_type.encode()))
    if answer.stream is None:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.stream is not None and method != "HEAD":
        async for piece in answer.stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    body = b"" if method == "HEAD" or answer.stream is not None else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": False})
