"""Everything made from the server's secret: names' ids, token hashes, access tokens, claim tokens, signed URLs.

One secret, one derived key a purpose: a token made for one purpose is worthless for another.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.ids import AccountId, ApiKeyId, Digest, RunId, SessionId
from domain.refusals import NotAuthenticated

S = TypeVar("S", bound=Struct)

BEGINNING = datetime.fromtimestamp(0, UTC)
ALGORITHM = "HS256"
REMEMBERED = (
    8192  # access tokens found to be ours: to check one takes longer than most of what is asked with it
)
MAX_CLAIM_TOKEN = 1024  # characters
API_KEY_PREFIX = "cpk_"
API_KEY_MAC_BYTES = 24
API_KEY_LENGTH = len(API_KEY_PREFIX) + 54  # 40 bytes in base64
NOT_LOGGED_IN = "Please log in: the access token is missing, expired or not ours."
TOO_LONG_AGO = "This took too long. Please begin again."


class Access(Struct, frozen=True):
    """Who an access token speaks for."""

    account: AccountId
    session: SessionId
    epoch: int = 0


class ClaimToken(Struct, frozen=True):
    """What an executor may do to objects for one attempt."""

    run: RunId
    epoch: int
    graph: Digest
    expires: int


class BrowserToken(Struct, frozen=True):
    """Who a browser's cookie speaks for."""

    account: AccountId
    session: SessionId
    epoch: int
    expires: int


class HalfWayToken(Struct, frozen=True):
    """Whose password was right, in which epoch: they still have to send a code."""

    account: AccountId
    epoch: int
    expires: int


class ServerSecrets:
    """The Secrets port, and the tokens that only adapters deal with."""

    def __init__(self, secret: bytes, seconds: Callable[[], float] = time.time) -> None:
        """`seconds`: the time since 1970."""
        self._seconds = seconds
        self._names = derive(secret, "names")
        self._refresh = derive(secret, "refresh tokens")
        self._access = derive(secret, "access tokens")
        self._claims = derive(secret, "claim tokens")
        self._browsers = derive(secret, "browser tokens")
        self._half_way = derive(secret, "half-way tokens")
        self._urls = derive(secret, "object urls")
        self._exports = derive(secret, "export urls")
        self._requests = derive(secret, "requests")
        self._api_keys = derive(secret, "api keys")
        self._subjects = derive(secret, "subjects of keys")
        self._checked = lru_cache(REMEMBERED)(self._check)
        self._claimed = lru_cache(REMEMBERED)(self._read_claim)

    def name_id(self, kind: str, canonical: str) -> UUID:
        mac = hmac.digest(self._names, f"{kind}:{canonical}".encode(), "sha256")
        return UUID(bytes=mac[:16], version=4)

    def random_token(self) -> str:
        return secrets.token_urlsafe(32)

    def hash_token(self, token: str) -> bytes:
        return hmac.digest(self._refresh, token.encode(), "sha256")

    def request_hash(self, request: bytes) -> bytes:
        """Tells a request from others. Keyed, as a request may hold a password."""
        return hmac.digest(self._requests, request, "sha256")

    def api_key(self, id: ApiKeyId) -> str:
        """`cpk_`, then in base64url the id and 24 bytes that only we can make of it."""
        mac = hmac.digest(self._api_keys, id.bytes, "sha256")
        return API_KEY_PREFIX + _text(id.bytes + mac[:API_KEY_MAC_BYTES])

    def read_api_key(self, text: str) -> ApiKeyId | None:
        """None for a text that we have never made."""
        if len(text) != API_KEY_LENGTH or not text.isascii():
            return None
        try:
            id = ApiKeyId(UUID(bytes=_bytes(text[len(API_KEY_PREFIX) :])[:16]))
        except ValueError:
            return None
        return id if hmac.compare_digest(text, self.api_key(id)) else None

    def handle(self, id: ApiKeyId) -> str:
        """What a key's consumers and inboxes are called: nobody can guess it who knows the id only."""
        return f"{id.hex}{hmac.digest(self._subjects, id.bytes, 'sha256').hex()[:32]}"

    def access_token(
        self, account: AccountId, session: SessionId, expires_at: datetime, epoch: int = 0
    ) -> str:
        import jwt  # all of cryptography with it: only the API deals with access tokens

        claims = {
            "sub": str(account),
            "sid": str(session),
            "epoch": epoch,
            "exp": int(expires_at.timestamp()),
        }
        return jwt.encode(claims, self._access, ALGORITHM)

    def read_access_token(self, token: str) -> Access:
        """Raises NotAuthenticated."""
        access, expires = self._checked(token)
        if expires <= self._seconds():
            raise NotAuthenticated(NOT_LOGGED_IN)
        return access

    def claim_token(self, run: RunId, epoch: int, graph: Digest, expires_at: datetime) -> str:
        return _signed(self._claims, ClaimToken(run, epoch, graph, int(expires_at.timestamp())))

    def read_claim_token(self, token: str, now: datetime) -> ClaimToken:
        """Raises NotAuthenticated."""
        try:
            claim = _read(self._claims, token, ClaimToken)
        except ValueError as error:
            raise NotAuthenticated("The claim's token is not valid.") from error
        if claim.expires <= now.timestamp():
            raise NotAuthenticated("The claim's token has expired.")
        return claim

    def browser_token(self, access: Access, expires_at: datetime) -> str:
        """For a cookie: it lasts, and so it is worth nothing where access tokens are."""
        expires = int(expires_at.timestamp())
        return _signed(self._browsers, BrowserToken(access.account, access.session, access.epoch, expires))

    def read_browser_token(self, token: str, now: datetime) -> BrowserToken:
        """Raises NotAuthenticated."""
        try:
            shown = _read(self._browsers, token, BrowserToken)
        except ValueError as error:
            raise NotAuthenticated(NOT_LOGGED_IN) from error
        if shown.expires <= now.timestamp():
            raise NotAuthenticated(NOT_LOGGED_IN)
        return shown

    def half_way_token(self, account: AccountId, epoch: int, expires_at: datetime) -> str:
        return _signed(self._half_way, HalfWayToken(account, epoch, int(expires_at.timestamp())))

    def read_half_way_token(self, token: str, now: datetime) -> HalfWayToken:
        """Raises NotAuthenticated."""
        try:
            shown = _read(self._half_way, token, HalfWayToken)
        except ValueError as error:
            raise NotAuthenticated(TOO_LONG_AGO) from error
        if shown.expires <= now.timestamp():
            raise NotAuthenticated(TOO_LONG_AGO)
        return shown

    def holds(self, token: str, run: RunId, epoch: int | None) -> bool:
        """Whether it was made for a claim of this run, and of this attempt where one is named; expired or not."""
        claim = self._claimed(token) if len(token) <= MAX_CLAIM_TOKEN else None
        return claim is not None and claim.run == run and epoch in (None, claim.epoch)

    def _read_claim(self, token: str) -> ClaimToken | None:
        try:
            return self.read_claim_token(token, BEGINNING)
        except NotAuthenticated:
            return None

    def object_signature(self, run: RunId, digest: Digest, expires: int, rendition: str = "") -> str:
        """What makes a URL of an output, in one rendition, good for whoever was given it, until it expires."""
        named = f"{run}/{digest}/{expires}" + (f"/{rendition}" if rendition else "")
        return _text(hmac.digest(self._urls, named.encode(), "sha256"))

    def check_object_signature(
        self,
        run: RunId,
        digest: Digest,
        expires: int,
        signature: str,
        now: datetime,
        rendition: str = "",
    ) -> bool:
        right = self.object_signature(run, digest, expires, rendition)
        return hmac.compare_digest(signature.encode(), right.encode()) and expires > now.timestamp()

    def export_signature(self, export: UUID, expires: int) -> str:
        """What makes a URL of an export good for whoever was given it, until it expires."""
        return _text(hmac.digest(self._exports, f"{export}/{expires}".encode(), "sha256"))

    def check_export_signature(self, export: UUID, expires: int, signature: str, now: datetime) -> bool:
        right = hmac.compare_digest(signature.encode(), self.export_signature(export, expires).encode())
        return right and expires > now.timestamp()

    def _check(self, token: str) -> tuple[Access, int]:
        """Whom it speaks for, and until when in seconds since 1970."""
        import jwt

        try:
            claims = jwt.decode(token, self._access, [ALGORITHM], options={"require": ["sub", "sid", "exp"]})
            epoch = int(claims.get("epoch", 0))  # none in those of before there were epochs
            access = Access(AccountId(UUID(claims["sub"])), SessionId(UUID(claims["sid"])), epoch)
            return access, int(claims["exp"])
        except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError) as error:
            raise NotAuthenticated(NOT_LOGGED_IN) from error


def derive(secret: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose."""
    return hmac.digest(secret, f"comfyplus {purpose}".encode(), hashlib.sha256)


def _signed(key: bytes, said: Struct) -> str:
    body = msgspec.json.encode(said)
    return f"{_text(body)}.{_text(hmac.digest(key, body, 'sha256'))}"


def _read(key: bytes, token: str, kind: type[S]) -> S:
    """Raises ValueError for what was not signed with this key."""
    body, mac = (_bytes(part) for part in token.split("."))
    if not hmac.compare_digest(mac, hmac.digest(key, body, "sha256")):
        raise ValueError("It is not ours.")
    return msgspec.json.decode(body, type=kind)


def _text(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
