"""Who a ComfyUI client speaks for: by cookie, access token, API key, HTTP Basic, or a key in the address."""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from adapters.http.callers import API_KEY_BEGINS, NO_SUCH_KEY, Caller, by_access_token
from adapters.http.parts import Parts
from commands.api_keys import holder
from domain.account import SESSION_OVER
from domain.api_key import Scope
from domain.refusals import NotAllowed, NotAuthenticated

COOKIE = "comfyplus_session"
SAFE = {"GET", "HEAD", "OPTIONS"}
SAME = {"same-origin", "none"}
PLEASE_LOG_IN = "Please log in to ComfyUI Plus, or send an API key."
CROSS_SITE = "This request came from another site."


class Shown(Struct, frozen=True):
    """What a request shows of who sends it: a token or key, or a cookie, which a browser sends unasked."""

    token: str = ""
    cookie: str = ""


async def who(headers: Mapping[bytes, bytes], key: str, method: str, parts: Parts) -> Caller:
    """`key`: from the address. Raises NotAuthenticated, NotAllowed."""
    shown = Shown(key) if key else presented(headers)
    if shown.token:
        return await _by_token(shown.token, method, parts)
    if not shown.cookie:
        raise NotAuthenticated(PLEASE_LOG_IN)
    if not same_origin(headers, method, parts.public_url):
        raise NotAllowed(CROSS_SITE)
    return await by_cookie(shown.cookie, parts)


def presented(headers: Mapping[bytes, bytes]) -> Shown:
    """A key or token goes before a cookie."""
    if key := headers.get(b"x-api-key", b"").decode("latin-1").strip():
        return Shown(key)
    kind, _, rest = headers.get(b"authorization", b"").decode("latin-1").strip().partition(" ")
    match kind.lower():
        case "bearer":
            return Shown(rest.strip())
        case "basic":
            return Shown(_password(rest.strip()))
    return Shown(cookie=cookie(headers, COOKIE))


def cookie(headers: Mapping[bytes, bytes], name: str) -> str:
    """Its value; empty where there is none. Other cookies of the host may look as they like."""
    for pair in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return ""


def same_origin(headers: Mapping[bytes, bytes], method: str, public_url: str = "") -> bool:
    """Whether a request that a cookie came with was sent by a page of ours.

    Neither the content type nor a preflight protects here: the editor's own writes are simple requests. A proxy may
    have put another name of ours into `Host`: people then know us by the public one.
    """
    if (site := headers.get(b"sec-fetch-site", b"").decode("latin-1")) and site not in SAME:
        return method in SAFE and headers.get(b"sec-fetch-mode") == b"navigate"
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin:
        host = headers.get(b"host", b"").decode("latin-1")
        return origin in (f"http://{host}", f"https://{host}", origin_of(public_url))
    return method in SAFE or bool(site)


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def by_cookie(cookie: str, parts: Parts) -> Caller:
    """Raises NotAuthenticated, LogUnavailableError."""
    now = parts.now()
    access = parts.signatures.read_browser_token(cookie, now)
    caller = Caller(access.account, access.session, access.epoch)
    if caller.is_over(parts.ended):
        raise NotAuthenticated(SESSION_OVER)
    await parts.browsers.check(caller.account, caller.session, parts.commands.needs.streams, now)
    return caller


async def _by_token(token: str, method: str, parts: Parts) -> Caller:
    if not token.startswith(API_KEY_BEGINS):
        return by_access_token(token, parts)
    key = await holder(token, parts.commands.needs)
    if key is None:
        raise NotAuthenticated(NO_SUCH_KEY)
    needed = Scope.READ if method in SAFE else Scope.WRITE
    if needed not in key.scopes:
        raise NotAllowed(f"This key lacks the scope {needed}.")
    return Caller(key.account, key=key)


def _password(basic: str) -> str:
    try:
        return base64.b64decode(basic, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
