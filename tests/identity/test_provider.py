"""A provider of identities is believed what it has signed for us just now, and nothing else."""

import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace

from adapters.identity.provider import KEPT_S, KEYS_AGAIN_S, OpenIdProvider, Registration
from adapters.outbound.guard import Guard
from adapters.outbound.transport import KeptTransport
from commands.providers import Identity, ProviderAway
from domain.refusals import NotAuthenticated
from tests.identity import openid

WAY = {"nonce": "n" * 64, "verifier": "v" * 64}


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture(scope="module")
def server() -> Iterator[openid.Provider]:
    with openid.running() as provider:
        yield provider


@pytest.fixture
def home(server: openid.Provider) -> openid.Provider:
    """The provider, as if nothing had been done to it."""
    server.keys, server.who = [server.key.public], {"sub": "ann-at-home"}
    server.change, server.sign, server.says, server.asked = {}, None, {}, []
    return server


def registered(home: openid.Provider) -> Registration:
    return Registration(
        issuer=home.url,
        client_id=openid.CLIENT,
        client_secret=openid.SECRET,
        redirect_url="https://studio.example/back",
        scopes="openid email",
        label="Home",
        private=True,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def known(home: openid.Provider, clock: Clock) -> AsyncIterator[OpenIdProvider]:
    guard = Guard(private=True)
    made = OpenIdProvider(registered(home), KeptTransport(resolve=guard), clock)
    yield made
    await made.aclose()
    guard.close()


async def come_back(home: openid.Provider, known: OpenIdProvider) -> str:
    """The code that the browser comes back with."""
    url = home.allow(await known.address(state="s", **WAY))
    assert url.startswith("https://studio.example/back?")
    return parse_qs(urlsplit(url).query)["code"][0]


async def let_in(home: openid.Provider, known: OpenIdProvider) -> Identity:
    return await known.identity(await come_back(home, known), **WAY)


async def test_whoever_the_provider_lets_in_is_known(home: openid.Provider, known: OpenIdProvider) -> None:
    home.who = {"sub": "1", "preferred_username": "ann", "email": "a@example.org", "email_verified": True}
    assert await let_in(home, known) == Identity(
        issuer=home.url, subject="1", name="ann", email="a@example.org", email_verified=True
    )
    home.who = {"sub": "1", "name": "Ann Bee", "email": 7, "email_verified": "false"}
    assert await let_in(home, known) == Identity(issuer=home.url, subject="1", name="Ann Bee")
    assert home.asked.count("/keys") == home.asked.count("/.well-known/openid-configuration") == 1


async def test_a_code_is_good_once_and_for_whoever_began(
    home: openid.Provider, known: OpenIdProvider
) -> None:
    code = await come_back(home, known)
    with pytest.raises(NotAuthenticated):
        await known.identity(code, nonce=WAY["nonce"], verifier="w" * 64)
    code = await come_back(home, known)
    await known.identity(code, **WAY)
    for again in (code, "no code", ""):
        with pytest.raises(NotAuthenticated):
            await known.identity(again, **WAY)


TIMES = ("exp", "iat", "nbf")


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "m" * 64},
        {"nonce": None},
        {"nonce": 7},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another studio"},
        {"aud": None},
        {"aud": [openid.CLIENT, "another studio"]},
        {"aud": [openid.CLIENT, "another studio"], "azp": "another studio"},
        {"azp": "another studio"},
        {"exp": -120},
        {"exp": None},
        {"exp": "soon"},
        {"iat": 600},
        {"iat": None},
        {"nbf": 600},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 300},
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_us_now_is_refused(
    home: openid.Provider, known: OpenIdProvider, change: dict[str, Any]
) -> None:
    """Times are in seconds from now."""
    home.change = {
        name: int(time.time()) + value if name in TIMES and isinstance(value, int) else value
        for name, value in change.items()
    }
    with pytest.raises(NotAuthenticated, match="did not let you in"):
        await let_in(home, known)


async def test_a_token_for_several_is_taken_where_it_was_made_for_us(
    home: openid.Provider, known: OpenIdProvider
) -> None:
    home.change = {"aud": [openid.CLIENT, "another studio"], "azp": openid.CLIENT}
    assert (await let_in(home, known)).subject == "ann-at-home"


def with_public_key(home: openid.Provider, claims: dict[str, Any]) -> str:
    """HS256, with what everybody can read of the provider's key as if it were a secret."""
    public = home.key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = {"alg": "HS256", "kid": home.key.id}
    parts = [jwt.utils.base64url_encode(json.dumps(part).encode()) for part in (head, claims)]
    mac = hmac.digest(public, b".".join(parts), "sha256")
    return b".".join([*parts, jwt.utils.base64url_encode(mac)]).decode()


def none(home: openid.Provider, claims: dict[str, Any], **head: str) -> str:
    return jwt.encode(claims, "", "none", headers={"kid": home.key.id} | head)


STRANGER = rsa.generate_private_key(65537, 2048)
FORGERIES: dict[str, Any] = {
    "no signature at all": none,
    "no signature, said otherwise": lambda home, claims: none(home, claims) + "AAAA",
    "the public key as a secret": with_public_key,
    "the client's secret": lambda home, claims: jwt.encode(
        claims, openid.SECRET * 3, "HS256", headers={"kid": home.key.id}
    ),
    "a stranger's key": lambda home, claims: jwt.encode(
        claims, STRANGER, "RS256", headers={"kid": home.key.id}
    ),
    "a key of another name": lambda home, claims: jwt.encode(claims, STRANGER, "RS256", headers={"kid": "x"}),
    "a key that it brings along": lambda home, claims: jwt.encode(
        claims,
        STRANGER,
        "RS256",
        headers={"jwk": jwt.algorithms.RSAAlgorithm.to_jwk(STRANGER.public_key(), as_dict=True), "kid": "x"},
    ),
    "another algorithm than the key's": lambda home, claims: jwt.encode(
        claims, home.key.private, "PS256", headers={"kid": home.key.id}
    ),
    "a changed body": lambda home, claims: swapped(
        home.key.sign(claims), home.key.sign(claims | {"sub": "bob"})
    ),
    "no token": lambda home, claims: "hello",
    "nothing": lambda home, claims: "",
    "a deep head": lambda home, claims: jwt.utils.base64url_encode(b"[" * 9_000).decode() + ".e30.x",
    "a huge one": lambda home, claims: home.key.sign(claims | {"x": "y" * 20_000}),
}


def swapped(token: str, other: str) -> str:
    head, _, mac = token.split(".")
    return f"{head}.{other.split('.')[1]}.{mac}"


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_token_opens_nothing(
    home: openid.Provider, known: OpenIdProvider, forgery: str
) -> None:
    home.sign = lambda claims: FORGERIES[forgery](home, claims)
    with pytest.raises(NotAuthenticated, match="did not let you in"):
        await let_in(home, known)


async def test_a_shared_secret_among_the_keys_is_no_key(home: openid.Provider, known: OpenIdProvider) -> None:
    secret = jwt.utils.base64url_encode(b"k" * 64).decode()
    home.keys = [home.key.public, {"kty": "oct", "kid": "shared", "k": secret, "alg": "HS256"}]
    home.sign = lambda claims: jwt.encode(claims, b"k" * 64, "HS256", headers={"kid": "shared"})
    with pytest.raises(NotAuthenticated):
        await let_in(home, known)


async def test_a_new_key_is_looked_for_once_in_a_while(
    home: openid.Provider, known: OpenIdProvider, clock: Clock
) -> None:
    await let_in(home, known)
    home.rotate()
    with pytest.raises(
        NotAuthenticated
    ):  # asked just now: whoever names keys must not have us ask all the time
        await let_in(home, known)
    assert home.asked.count("/keys") == 1
    clock.at += KEYS_AGAIN_S
    assert (await let_in(home, known)).subject == "ann-at-home"
    home.rotate(keep=True)
    clock.at += KEYS_AGAIN_S
    await let_in(home, known)
    gone = home.key
    home.rotate()
    clock.at += KEPT_S + 1
    home.sign = gone.sign
    with pytest.raises(NotAuthenticated):  # what it has taken back opens nothing
        await let_in(home, known)


@pytest.mark.parametrize(
    "says",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "https://ann:secret@example.org/keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
    ids=str,
)
async def test_a_provider_that_says_strange_things_is_not_asked(
    home: openid.Provider, known: OpenIdProvider, says: dict[str, Any]
) -> None:
    home.says = says
    with pytest.raises(ProviderAway):
        await known.address(state="s", **WAY)
    home.says = {}
    await known.address(state="s", **WAY)


async def test_a_provider_that_breaks_down_is_away(home: openid.Provider, known: OpenIdProvider) -> None:
    code = await come_back(home, known)
    home.keys = "none"  # type: ignore[assignment]  # what nobody thought of
    with pytest.raises(ProviderAway):
        await known.identity(code, **WAY)


async def test_it_is_not_looked_for_in_our_own_network_unless_that_is_wanted(home: openid.Provider) -> None:
    guard = Guard()
    inside = replace(registered(home), private=False)
    made = OpenIdProvider(inside, KeptTransport(resolve=guard))
    with pytest.raises(ProviderAway):
        await made.address(state="s", **WAY)
    assert home.asked == []
    await made.aclose()
    guard.close()


async def test_nor_without_tls(home: openid.Provider) -> None:
    """Though it were a public one."""

    def answered(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=home.about() | {"token_endpoint": "http://example.org/token"})

    inside = replace(registered(home), private=False)
    made = OpenIdProvider(inside, httpx.MockTransport(answered))
    with pytest.raises(ProviderAway):
        await made.address(state="s", **WAY)
    await made.aclose()
