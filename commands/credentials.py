"""What opens a backend, and how it is sent: as one header with every request."""

import base64
from typing import TypeAlias

from msgspec import Struct

from commands.addresses import checked_url
from commands.backend_access import Access
from domain.refusals import FieldError, Invalid

MAX_CREDENTIAL = 4_096
TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
OURS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "upgrade", "accept-encoding", "origin"}
)
"""Headers that say how the request itself travels. A foreign `origin` makes ComfyUI refuse."""


class Basic(Struct, frozen=True, tag="basic", tag_field="kind", forbid_unknown_fields=True):
    user: str
    password: str


class Bearer(Struct, frozen=True, tag="bearer", tag_field="kind", forbid_unknown_fields=True):
    token: str


class Header(Struct, frozen=True, tag="header", tag_field="kind", forbid_unknown_fields=True):
    name: str
    value: str


Credentials: TypeAlias = Basic | Bearer | Header


def accessed(url: str, credentials: Credentials | None, *, private: bool) -> Access:
    """Raises Invalid."""
    url = checked_url(url, private=private).rstrip("/")
    if "?" in url:
        raise Invalid("The URL cannot be used.", FieldError("url", "It must not hold a query."))
    match credentials:
        case None:
            return Access(url)
        case Basic(user=user, password=password):
            if ":" in user:
                raise _unusable("user", "A user name must not hold a colon.")
            pair = base64.b64encode(f"{_text('user', user)}:{_text('password', password)}".encode()).decode()
            return Access(url, "authorization", f"Basic {pair}")
        case Bearer(token=token):
            return Access(url, "authorization", f"Bearer {_ascii('token', token)}")
        case Header(name=name, value=value):
            lower = name.lower()
            if (
                not 1 <= len(name) <= 100
                or not set(name) <= TOKEN
                or lower in OURS
                or lower.startswith("sec-")
            ):
                raise _unusable("name", "It is no header that can be sent.")
            return Access(url, lower, _ascii("value", value))


def _text(field: str, text: str) -> str:
    if not 0 < len(text) <= MAX_CREDENTIAL or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise _unusable(field, f"It has 1 to {MAX_CREDENTIAL} printable characters.")
    return text


def _ascii(field: str, text: str) -> str:
    if not _text(field, text).isascii() or text != text.strip():
        raise _unusable(field, "It has printable ASCII characters only.")
    return text


def _unusable(field: str, reason: str) -> Invalid:
    return Invalid("The credentials cannot be used.", FieldError(f"credentials.{field}", reason))
