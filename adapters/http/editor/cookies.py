"""Cookies that no script sees and no other site sends along with what it writes."""

from datetime import timedelta

from adapters.http.gateway.identity import COOKIE
from adapters.http.parts import Parts
from commands.accounts import Tokens
from commands.in_two_steps import HalfWay

HALF_WAY = "comfyplus_half_way"
SIGN_ON = "comfyplus_sign_on_page"
HERE = "/editor"
CODE_WITHIN = timedelta(minutes=10)
SIGN_ON_WITHIN = timedelta(minutes=60)


def of_session(tokens: Tokens, parts: Parts) -> tuple[bytes, bytes]:
    """Lasts as long as one may stay away without logging in again; bound to the session that has just begun."""
    lives = parts.commands.needs.limits.refresh_token
    access = parts.signatures.read_access_token(tokens.access_token)
    return made(COOKIE, parts.signatures.browser_token(access, parts.now() + lives), lives, parts)


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
