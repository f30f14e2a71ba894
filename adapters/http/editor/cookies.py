"""Cookies that no script sees and no other site sends along with what it writes."""

from datetime import timedelta

from adapters.http.gateway.call import Call
from adapters.http.gateway.identity import COOKIE, presented
from adapters.http.parts import Parts
from commands.accounts import Client, StayLoggedIn, Tokens
from commands.in_two_steps import HalfWay

HALF_WAY = "comfyplus_half_way"
SIGN_ON = "comfyplus_sign_on_page"
HERE = "/editor"
RENEWED_AFTER = timedelta(days=1)  # each renewal is a write
CODE_WITHIN = timedelta(minutes=10)
SIGN_ON_WITHIN = timedelta(minutes=60)


def of_session(tokens: Tokens, parts: Parts) -> tuple[bytes, bytes]:
    """Lasts as long as one may stay away without logging in again; bound to the session that has just begun."""
    lives = parts.commands.needs.limits.refresh_token
    access = parts.signatures.read_access_token(tokens.access_token)
    return made(COOKIE, parts.signatures.browser_token(access, parts.now() + lives), lives, parts)


async def of_session_that_goes_on(call: Call, client: Client) -> tuple[tuple[bytes, bytes], ...]:
    """A new one for whoever is logged in by a cookie that is older than a day: who comes back need never log in again.

    Nothing for others. Raises NotAuthenticated.
    """
    parts = call.parts
    if not (token := presented(call.headers).cookie):
        return ()
    now, lives = parts.now(), parts.commands.needs.limits.refresh_token
    shown = parts.signatures.read_browser_token(token, now)
    if now.timestamp() < shown.expires - (lives - min(RENEWED_AFTER, lives / 2)).total_seconds():
        return ()
    wish = StayLoggedIn(account=shown.account, session=shown.session, client=client)
    await parts.commands.run(wish, call.context())
    renewed = parts.signatures.browser_token(shown, now + lives)
    return made(COOKIE, renewed, lives, parts), (b"cache-control", b"no-store")


def of_half_way(half_way: HalfWay, parts: Parts) -> tuple[bytes, bytes]:
    token = parts.signatures.half_way_token(half_way.account, half_way.epoch, parts.now() + CODE_WITHIN)
    return made(HALF_WAY, token, CODE_WITHIN, parts, path=HERE, same_site="Strict")


def gone(name: str, parts: Parts, path: str = "/") -> tuple[bytes, bytes]:
    return made(name, "", timedelta(0), parts, path=path)


def made(
    name: str, value: str, lives: timedelta, parts: Parts, *, path: str = "/", same_site: str = "Lax"
) -> tuple[bytes, bytes]:
    secure = "; Secure" if parts.public_url.startswith("https:") else ""
    age = int(lives.total_seconds())
    said = f"{name}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite={same_site}{secure}"
    return b"set-cookie", said.encode("latin-1")
