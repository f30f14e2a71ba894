"""The ASGI application: a table of routes, each also under /api, and the faults on the way."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from infra.sandbox import api_about, api_files, api_prompts
from infra.sandbox.http import (
    BROKEN,
    TOO_LARGE,
    Request,
    Response,
    TooLargeError,
    answer,
    foreign_origin,
    ok,
    read,
)
from infra.sandbox.settings import Faults
from infra.sandbox.sockets import cut
from infra.sandbox.state import Sandbox

logger = logging.getLogger(__name__)
Handler = Callable[[Sandbox, Request], Response]
GARBAGE = Response(200, b"<html>definitely not JSON {", "text/html")


def get_faults(sandbox: Sandbox, request: Request) -> Response:
    return ok(sandbox.faults)


def post_faults(sandbox: Sandbox, request: Request) -> Response:
    """All switches anew: what is not named is off."""
    try:
        sandbox.faults = msgspec.json.decode(request.body, type=Faults)
    except msgspec.DecodeError as error:
        return Response(400, str(error).encode(), "text/plain")
    return ok(sandbox.faults)


ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "/prompt"): api_prompts.get_prompt,
    ("POST", "/prompt"): api_prompts.post_prompt,
    ("GET", "/queue"): api_prompts.get_queue,
    ("POST", "/queue"): api_prompts.post_queue,
    ("POST", "/interrupt"): api_prompts.post_interrupt,
    ("POST", "/free"): api_prompts.post_free,
    ("GET", "/history"): api_prompts.get_history,
    ("GET", "/history/*"): api_prompts.get_history_of,
    ("POST", "/history"): api_prompts.post_history,
    ("GET", "/view"): api_files.get_view,
    ("POST", "/upload/image"): api_files.post_upload_image,
    ("POST", "/upload/mask"): api_files.post_upload_mask,
    ("GET", "/object_info"): api_about.get_object_info,
    ("GET", "/object_info/*"): api_about.get_object_info_of,
    ("GET", "/models"): api_about.get_models,
    ("GET", "/models/*"): api_about.get_models_in,
    ("GET", "/view_metadata/*"): api_about.get_view_metadata,
    ("GET", "/embeddings"): api_about.get_embeddings,
    ("GET", "/extensions"): api_about.get_extensions,
    ("GET", "/extensions/*"): api_about.get_extension,
    ("GET", "/features"): api_about.get_features,
    ("GET", "/experiment/models"): api_about.get_model_folders,
    ("GET", "/i18n"): api_about.get_nothing,
    ("GET", "/workflow_templates"): api_about.get_nothing,
    ("GET", "/system_stats"): api_about.get_system_stats,
    ("GET", "/sandbox/faults"): get_faults,
    ("POST", "/sandbox/faults"): post_faults,
}
KNOWN = {path for _, path in ROUTES}


class Application:
    """One per server; the sandbox is given once the event loop runs."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        try:
            request = await read(scope, receive)
        except TooLargeError:
            await answer(send, TOO_LARGE)
            return
        faults = self._sandbox.faults
        if _meets(faults.hang_paths, request):
            await asyncio.Event().wait()
        if _meets(faults.refuse_paths, request):
            await answer(send, BROKEN)
            return
        response = self._answer(request)
        if _meets(faults.lose_answer_paths, request):
            cut(send)
            return
        await answer(
            send,
            GARBAGE if _meets(faults.garbage_paths, request) else response,
            head=request.method == "HEAD",
        )

    async def _socket(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in ("/ws", "/api/ws"):
            await send({"type": "websocket.close"})
            return
        await self._sandbox.sockets.serve(scope, receive, send, self._sandbox.greeting)

    def _answer(self, request: Request) -> Response:
        if foreign_origin(request.headers):
            return Response(403)
        method = "GET" if request.method == "HEAD" else request.method
        path = request.path
        below = len(request.parts) == 2 or (len(request.parts) > 2 and request.parts[0] == "extensions")
        if below and f"/{request.parts[0]}/*" in KNOWN:
            path = f"/{request.parts[0]}/*"
        handler = ROUTES.get((method, path))
        if handler is None:
            missing = b"405: Method Not Allowed" if path in KNOWN else b"404: Not Found"
            return Response(405 if path in KNOWN else 404, missing, "text/plain; charset=utf-8")
        try:
            return handler(self._sandbox, request)
        except api_prompts.TRIPPED as error:
            logger.warning("request failed", extra={"path": path, "error": repr(error)})
            return BROKEN


def _meets(paths: tuple[str, ...], request: Request) -> bool:
    if not paths or request.path.startswith("/sandbox/"):
        return False
    for wanted in paths:
        method, _, path = wanted.rpartition(" ")
        below = request.path == path or request.path.startswith(path.rstrip("/") + "/")
        if below and method in ("", request.method):
            return True
    return False
