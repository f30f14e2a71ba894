"""ComfyUI's official editor at `/editor/`, with a log-in in front of it.

Only its files and these pages: whatever else is asked for below `/editor/` is ComfyUI's interface (see the gateway).
"""

import base64
import hashlib
import importlib.util
import re
from html import escape
from pathlib import Path
from typing import Any

from litestar.types import Receive

from adapters.http.callers import Caller
from adapters.http.editor import entering, pages
from adapters.http.editor.answers import governed, onward, page
from adapters.http.editor.files import Files
from adapters.http.gateway.call import Answer, Call
from adapters.http.gateway.identity import presented, who
from adapters.http.gateway.shared import Shared
from adapters.http.gateway.table import Route, Table
from adapters.http.parts import Parts
from commands.known_accounts import NOBODY
from domain.refusals import NotAuthenticated

OWN = Path(__file__).with_name("own")
PAGES = Table(
    [
        Route("GET", "login", entering.log_in_page),
        Route("POST", "login", entering.log_in),
        Route("GET", "code", entering.code_page),
        Route("POST", "code", entering.send_code),
        Route("GET", "join", entering.join_page),
        Route("POST", "join", entering.join),
        Route("GET", "again", entering.again_page),
        Route("POST", "logout", entering.log_out),
        Route("GET", "session", entering.session),
        Route("GET", "sign-on", entering.sign_on),
        Route("GET", "signed-on", entering.signed_on),
    ]
)
INDEX = "index.html"
ICON = "/favicon.ico"
NO_STYLES = (
    "user.css"  # asked for at each start; ComfyUI's own is empty, and people's are at api/userdata/user.css
)
ASIDE = (ICON, "/assets/images/", "/assets/favicon.ico")
INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
HEAD = re.compile(r"<head[^>]*>")
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{scripts}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' blob: data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
SCRIPT = '<script src="own/session.js" data-account="{account}" data-name="{name}"{by_cookie}></script>'


class Editor:
    def __init__(self, parts: Parts, shared: Shared) -> None:
        self._parts = parts
        self._shared = shared
        self._own = Files(OWN)
        self._files = None if parts.editor is None else Files(parts.editor, _templates())
        self._index = "" if parts.editor is None else (parts.editor / INDEX).read_text("utf-8")
        self._policy = policy(self._index)

    async def answer(self, scope: Any, receive: Receive, segments: list[str]) -> Answer | None:
        """`segments`: of what is below `/editor/`. None: it is none of ours. Raises REFUSALS."""
        headers = dict(scope["headers"])
        if not segments and not scope["path"].endswith("/"):
            return onward("editor/")
        handler, names, _ = PAGES.find(scope["method"], segments)
        if handler is not None:
            call = Call(scope, receive, self._parts, Caller(NOBODY), names, self._shared)
            return await handler(call)
        if scope["method"] not in ("GET", "HEAD"):
            return None
        name = "/".join(segments)
        if name in ("", INDEX):
            return await self._front(headers)
        if segments[0] == OWN.name:
            return await self._own.answer(name.partition("/")[2], headers)
        return await self.file(name, headers)

    async def aside(self, scope: Any) -> Answer | None:
        """What browsers and the editor ask for at the root of the host: `is_aside`."""
        path, headers = scope["path"], dict(scope["headers"])
        if path == "/":
            return onward("editor/") if b"text/html" in headers.get(b"accept", b"") else None
        if (found := await self.file(path[1:], headers)) is not None:
            return found
        return await self._own.answer("icon.svg", headers) if path == ICON else None

    async def file(self, name: str, headers: dict[bytes, bytes]) -> Answer | None:
        if self._files is None:
            return None
        answer = await self._files.answer(name, headers)
        if answer is None and name == NO_STYLES:
            answer = Answer(media_type="text/css; charset=utf-8")
        return None if answer is None else governed(answer, self._policy)

    async def _front(self, headers: dict[bytes, bytes]) -> Answer:
        """The editor for whoever is logged in, and the way to the log-in for all others."""
        if self._files is None:
            return page(pages.missing(), 404)
        try:
            caller = await who(headers, "", "GET", self._parts)
        except NotAuthenticated:
            if presented(headers).token:
                raise
            return onward("login")
        script = SCRIPT.format(
            account=caller.account,
            name=escape(await entering.name_of(caller.account, self._parts)),
            by_cookie=" data-by-cookie" if caller.key is None else "",
        )
        return page(HEAD.sub(lambda found: found[0] + script, self._index, count=1), policy=self._policy)


def is_aside(scope: Any) -> bool:
    path: str = scope["path"]
    return (path == "/" or path.startswith(ASIDE)) and scope.get("method") == "GET"


def policy(index: str) -> bytes:
    """What the editor may do: of scripts in the page itself, those that come with it."""
    said = [
        base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        for found in INLINE.finditer(index)
    ]
    return POLICY.format(scripts="".join(f" 'sha256-{each}'" for each in said)).encode()


def _templates() -> Path | None:
    """The workflows that come as a package, where it is installed."""
    found = importlib.util.find_spec("comfyui_workflow_templates")
    folder = None if found is None or found.origin is None else Path(found.origin).parent / "templates"
    return folder if folder is not None and folder.is_dir() else None
