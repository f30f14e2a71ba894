"""An OpenID provider, found by discovery: authorization code with PKCE, and ID tokens verified by its published keys.

Source: OpenID Connect Core 1.0 sections 3.1 and 10, Discovery 1.0; RFC 7636; RFC 6749 section 2.3.1.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec
from msgspec import Struct

from commands.addresses import checked_url
from commands.providers import Identity, ProviderAway
from domain.refusals import Invalid, NotAuthenticated

logger = logging.getLogger(__name__)

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""With a key of which we know the public half only: `none`, and what rests on a shared secret, are not among them."""
KEY_KINDS = frozenset({"RSA", "EC", "OKP"})
KEPT_S = 3600.0  # what the provider says of itself
KEYS_AGAIN_S = (
    10.0  # a key that is not known may be a new one; but whoever names keys must not have us ask all the time
)
LEEWAY_S = 60
TIMEOUTS = httpx.Timeout(10.0, connect=5.0)
MAX_SUBJECT = 255
MAX_TOKEN = 16_384
AWAY = "The provider cannot be asked at the moment. Please try again."
REFUSED = "The provider did not let you in. Please begin again."


class About(Struct, frozen=True):
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Answered(Struct, frozen=True):
    id_token: str


class Keys(Struct, frozen=True):
    keys: list[dict[str, Any]]


class Registration(Struct, frozen=True, kw_only=True):
    """How we are known to a provider. `private`: it may be in our own network, and without TLS."""

    issuer: str
    client_id: str
    client_secret: str | None
    redirect_url: str
    scopes: str
    label: str
    private: bool = False


class OpenIdProvider:
    """The Provider port. Redirects are not followed; close it."""

    def __init__(
        self,
        registration: Registration,
        transport: httpx.AsyncBaseTransport,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._us = registration
        self._http = httpx.AsyncClient(transport=transport, timeout=TIMEOUTS, trust_env=False)
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._about: tuple[float, About] | None = None
        self._keys: tuple[float, Keys] | None = None

    @property
    def label(self) -> str:
        return self._us.label

    async def aclose(self) -> None:
        await self._http.aclose()

    async def address(self, *, state: str, nonce: str, verifier: str) -> str:
        about = await self._known()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._us.client_id,
            "redirect_uri": self._us.redirect_url,
            "scope": self._us.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        between = "&" if "?" in about.authorization_endpoint else "?"
        return f"{about.authorization_endpoint}{between}{urlencode(query)}"

    async def identity(self, code: str, *, nonce: str, verifier: str) -> Identity:
        about = await self._known()
        token = await self._exchanged(about, code, verifier)
        claims = await self._verified(about, token)
        said = claims.get("nonce")
        if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
            raise _refused("the nonce is another one")
        return _identity(claims)

    async def _exchanged(self, about: About, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._us.redirect_url,
            "code_verifier": verifier,
        }
        headers = {"accept": "application/json"}
        secret, ways = self._us.client_secret, about.token_endpoint_auth_methods_supported
        if secret is not None and ("client_secret_basic" in ways or "client_secret_post" not in ways):
            pair = f"{quote(self._us.client_id, safe='')}:{quote(secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._us.client_id} | ({} if secret is None else {"client_secret": secret})
        request = self._http.build_request("POST", about.token_endpoint, data=form, headers=headers)
        answer = await self._asked(request)
        if answer.status_code in (400, 401, 403):
            raise _refused(f"the code was answered {answer.status_code}")
        answered: Answered = self._read(answer, Answered)
        return answered.id_token

    async def _verified(self, about: About, token: str) -> dict[str, Any]:
        """The claims of an ID token that is the provider's, for us, and not over."""
        import jwt  # all of cryptography with it

        try:
            if len(token) > MAX_TOKEN:
                raise ValueError("The token is too long.")
            head = jwt.get_unverified_header(token)
            algorithm, kid = head.get("alg"), head.get("kid")
            if algorithm not in ALGORITHMS:
                raise ValueError("The algorithm is none that we take.")
            key = jwt.PyJWK(await self._key(about, kid, algorithm), algorithm)
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                [algorithm],
                audience=self._us.client_id,
                issuer=about.issuer,
                leeway=LEEWAY_S,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise _refused(f"its token is not good: {error}") from error
        for_others_too = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if for_others_too else self._us.client_id) != self._us.client_id:
            raise _refused("its token was made for somebody else")
        return claims

    async def _key(self, about: About, kid: object, algorithm: str) -> dict[str, Any]:
        """The public key that is named; the only one where none is. Raises ValueError, ProviderAway."""
        async with self._lock:
            if self._keys is None or self._seconds() - self._keys[0] > KEPT_S:
                await self._fetch_keys(about)
            if (found := self._among_keys(kid, algorithm)) is None:
                assert self._keys is not None
                if self._seconds() - self._keys[0] >= KEYS_AGAIN_S:
                    await self._fetch_keys(about)
                    found = self._among_keys(kid, algorithm)
        if found is None:
            raise ValueError("The key is not known.")
        return found

    async def _fetch_keys(self, about: About) -> None:
        answer = await self._asked(self._http.build_request("GET", about.jwks_uri))
        self._keys = self._seconds(), self._read(answer, Keys)

    def _among_keys(self, kid: object, algorithm: str) -> dict[str, Any] | None:
        assert self._keys is not None
        good = [
            key
            for key in self._keys[1].keys
            if key.get("kty") in KEY_KINDS
            and key.get("use", "sig") == "sig"
            and key.get("alg", algorithm) == algorithm
            and (kid is None or key.get("kid") == kid)
        ]
        return good[0] if len(good) == 1 else None

    async def _known(self) -> About:
        async with self._lock:
            if self._about is None or self._seconds() - self._about[0] > KEPT_S:
                url = f"{self._us.issuer.rstrip('/')}/.well-known/openid-configuration"
                answer = await self._asked(self._http.build_request("GET", url))
                self._about = self._seconds(), self._checked(self._read(answer, About))
            return self._about[1]

    def _checked(self, about: About) -> About:
        """Raises ProviderAway."""
        if about.issuer != self._us.issuer:
            raise _away(f"it calls itself {about.issuer[:200]!r}")
        for url in (about.authorization_endpoint, about.token_endpoint, about.jwks_uri):
            try:
                checked_url(url, private=self._us.private)
            except Invalid as error:
                raise _away("one of its addresses cannot be used") from error
            if not self._us.private and not url.startswith("https://"):
                raise _away("one of its addresses is without TLS")
        return about

    async def _asked(self, request: httpx.Request) -> httpx.Response:
        """Raises ProviderAway."""
        try:
            answer = await self._http.send(request, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _away(str(error)) from error
        if answer.status_code != 200 and answer.status_code not in (400, 401, 403):
            raise _away(f"it answers {answer.status_code}")
        return answer

    def _read(self, answer: httpx.Response, kind: type[Any]) -> Any:
        """Raises ProviderAway."""
        try:
            if answer.status_code != 200:
                raise ValueError(f"It answers {answer.status_code}.")
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _away(f"its answer cannot be read: {error}") from error


def _identity(claims: dict[str, Any]) -> Identity:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise _refused("its token names nobody")

    def text(name: str) -> str:
        value = claims.get(name)
        return value if isinstance(value, str) else ""

    return Identity(
        issuer=claims["iss"],
        subject=subject,
        name=text("preferred_username") or text("nickname") or text("name"),
        email=text("email"),
        email_verified=claims.get("email_verified") in (True, "true"),  # some send it as a text
    )


def _refused(reason: str) -> NotAuthenticated:
    logger.warning("the provider's answer is refused", extra={"reason": reason})
    return NotAuthenticated(REFUSED)


def _away(reason: str) -> ProviderAway:
    logger.warning("the provider cannot be asked", extra={"reason": reason})
    return ProviderAway(AWAY)
