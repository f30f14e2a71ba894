"""Joining, logging in, staying logged in."""

import asyncio
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.identity.secrets import ServerSecrets
from domain.ids import AccountId, SessionId
from tests.http.person import PASSWORD, Person, joined, somebody
from tests.http.problems import refused
from tests.http.whole import Whole


async def test_whoever_joins_can_log_in_by_name_and_by_address(nobody: Person) -> None:
    await nobody.register()
    for login in (nobody.name, nobody.email, nobody.name.upper(), f"  {nobody.email.upper()} "):
        tokens = await nobody.post("/auth/login", {"login": login, "password": PASSWORD})
        assert tokens["token_type"] == "bearer"
        assert tokens["expires_in"] == 900
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        me = await nobody.get("/auth/me", headers=headers)
        assert me == {
            "id": nobody.id,
            "username": nobody.name,
            "email": nobody.email,
            "email_confirmed": False,
            "second_factor": False,
            "has_password": True,
            "provider_linked": False,
        }


async def test_a_wrong_password_and_an_unknown_login_are_answered_alike(nobody: Person) -> None:
    await nobody.register()
    wrong = await nobody.ask("POST", "/auth/login", json={"login": nobody.name, "password": "not this one"})
    unknown = await nobody.ask("POST", "/auth/login", json={"login": "nobody-at-all", "password": PASSWORD})
    refused(wrong, 401)
    assert wrong.json() == unknown.json()


async def test_passwords_are_guessed_so_often_only_for_a_login_that_exists_or_not(nobody: Person) -> None:
    await nobody.register()
    for login in (nobody.name, f"x{nobody.name}"):
        wrong = {"login": login, "password": "not this one"}
        for _ in range(10):
            refused(await nobody.ask("POST", "/auth/login", json=wrong), 401)
        for password in ("not this one", PASSWORD):
            waiting = await nobody.ask("POST", "/auth/login", json=wrong | {"password": password})
            assert refused(waiting, 429)["detail"] == "Too many attempts. Please wait."
            assert 1 <= int(waiting.headers["retry-after"]) <= 90
    await nobody.post("/auth/login", {"login": nobody.email, "password": PASSWORD})


async def test_a_name_and_an_address_are_taken_whatever_their_case(ann: Person, nobody: Person) -> None:
    for taken in (
        {"username": ann.name.upper(), "email": nobody.email},
        {"username": nobody.name, "email": ann.email.upper()},
    ):
        answer = await nobody.ask("POST", "/auth/register", json=taken | {"password": PASSWORD})
        refused(answer, 409)
    await nobody.register()


async def test_of_two_who_register_one_name_at_once_one_gets_it(served: Whole) -> None:
    async with somebody(served) as one, somebody(served) as other:
        other.name = one.name.upper()
        asked = [
            {"username": each.name, "email": f"{uuid4().hex}@example.org", "password": PASSWORD}
            for each in (one, other)
        ]
        got = await asyncio.gather(
            one.ask("POST", "/auth/register", json=asked[0]),
            other.ask("POST", "/auth/register", json=asked[1]),
        )
        assert sorted(answer.status_code for answer in got) == [201, 409]
        winner = next(answer.json()["id"] for answer in got if answer.status_code == 201)
        await one.log_in()
        assert (await one.get("/auth/me"))["id"] == winner


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", ""),
        ("username", "ab"),
        ("username", "-ann"),
        ("username", "ann bee"),
        ("username", "ännchen"),
        ("username", "a" * 41),
        ("email", "no address"),
        ("email", "@example.org"),
        ("email", "a@b@c"),
        ("email", "a" * 300 + "@example.org"),
        ("password", "short"),
        ("password", "x" * 201),
    ],
)
async def test_who_registers_wrongly_is_told_which_field(nobody: Person, field: str, value: str) -> None:
    asked = {"username": nobody.name, "email": nobody.email, "password": PASSWORD} | {field: value}
    problem = refused(await nobody.ask("POST", "/auth/register", json=asked), 422)
    assert [error["field"] for error in problem["errors"]] == [field]


async def test_a_refresh_token_is_exchanged_for_new_ones(ann: Person) -> None:
    first = ann.refresh_token
    for _ in range(3):
        tokens = await ann.post("/auth/refresh", {"refresh_token": ann.refresh_token})
        assert tokens["refresh_token"] != ann.refresh_token
        ann.refresh_token = tokens["refresh_token"]
        ann.http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        await ann.get("/auth/me")
    assert ann.refresh_token != first


async def test_a_refresh_token_used_twice_ends_the_session(ann: Person) -> None:
    stolen = ann.refresh_token
    fresh = await ann.post("/auth/refresh", {"refresh_token": stolen})
    for token in (stolen, fresh["refresh_token"], stolen):
        refused(await ann.ask("POST", "/auth/refresh", json={"refresh_token": token}), 401)
    await ann.log_in()  # with the password it goes on
    await ann.post("/auth/refresh", {"refresh_token": ann.refresh_token})


async def test_of_two_exchanges_of_one_token_at_once_one_at_most_is_granted(ann: Person) -> None:
    asked = {"refresh_token": ann.refresh_token}
    answers = await asyncio.gather(*(ann.ask("POST", "/auth/refresh", json=asked) for _ in range(4)))
    granted = [answer for answer in answers if answer.status_code == 200]
    assert len(granted) <= 1
    assert {answer.status_code for answer in answers} <= {200, 401}
    for answer in granted:  # the session is over all the same
        refused(
            await ann.ask("POST", "/auth/refresh", json={"refresh_token": answer.json()["refresh_token"]}),
            401,
        )


async def test_after_logging_out_the_session_cannot_be_continued(ann: Person) -> None:
    kept = ann.refresh_token
    assert (await ann.post("/auth/logout"))["position"] > 0
    refused(await ann.ask("POST", "/auth/refresh", json={"refresh_token": kept}), 401)
    assert (await ann.post("/auth/logout"))["position"] == 0  # twice is no error
    refused(await ann.ask("GET", "/auth/me"), 401)
    await ann.log_in()


async def test_logging_out_leaves_other_sessions_alone(ann: Person) -> None:
    other = await ann.post("/auth/login", {"login": ann.name, "password": PASSWORD})
    await ann.post("/auth/logout")
    await ann.post("/auth/refresh", {"refresh_token": other["refresh_token"]})


RSA = rsa.generate_private_key(65537, 2048)


def with_public_key(claims: dict[str, Any]) -> str:
    """As if the server checked RS256 and took its own public key for a secret of HS256."""
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body = (
        jwt.utils.base64url_encode(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims)
    )
    mac = jwt.utils.base64url_encode(hmac.digest(public, head + b"." + body, "sha256"))
    return b".".join((head, body, mac)).decode()


def forged(served: Whole, ann: Person, **claims: object) -> dict[str, str]:
    """Access tokens that must not open anything, each with the right account in it."""
    soon = int((datetime.now(UTC) + timedelta(minutes=5)).timestamp())
    right = {"sub": ann.id, "sid": str(uuid4()), "exp": soon}
    account, session = AccountId(UUID(ann.id)), SessionId(uuid4())
    stranger = ServerSecrets(b"another secret, of another server, long enough")
    past = datetime.now(UTC) - timedelta(seconds=5)
    good = served.secrets.access_token(account, session, datetime.now(UTC) + timedelta(minutes=5))
    head, body, mac = good.split(".")
    return {
        "expired": served.secrets.access_token(account, session, past),
        "of another key": stranger.access_token(account, session, datetime.now(UTC) + timedelta(minutes=5)),
        "alg none": jwt.encode(right, "", "none"),
        "another alg": jwt.encode(right, "x" * 64, "HS512"),
        "signed with a key of one's own": jwt.encode(right, RSA, "RS256"),
        "signed with a public key": with_public_key(right),
        "no signature": f"{head}.{body}.",
        "signature cut": f"{head}.{body}.{mac[:-4]}",
        "body changed": f"{head}.{body[:-2]}AA.{mac}",
        "three dots": "...",
        "empty parts": "..",
        "no jwt": "hello",
        "nested head": f"{jwt.utils.base64url_encode(b'[' * 20_000).decode()}.{body}.{mac}",
        "a claim's token": served.secrets.claim_token(
            uuid4(),
            1,
            "ab" * 32,
            datetime.now(UTC) + timedelta(minutes=5),  # type: ignore[arg-type]
        ),
        "a refresh token": ann.refresh_token,
    }


async def test_no_forged_or_expired_token_opens_anything(served: Whole, ann: Person, nobody: Person) -> None:
    for kind, token in forged(served, ann).items():
        for scheme in ("Bearer", "bearer", "BEARER"):
            headers = {"Authorization": f"{scheme} {token}"}
            for method, path in (("GET", "/auth/me"), ("GET", "/workflows"), ("GET", "/gallery")):
                answer = await nobody.ask(method, path, headers=headers)
                assert answer.status_code == 401, f"{kind}: {method} {path} answers {answer.status_code}"
                refused(answer, 401)
    for header in ("", "Bearer", "Basic YTpi", "Token x", "Bearer a b", "Bearer \xff\xfe"):
        answer = await nobody.ask("GET", "/auth/me", headers={b"Authorization": header.encode("latin-1")})
        refused(answer, 401)


async def test_sessions_of_one_account_do_not_open_anothers(ann: Person, bob: Person) -> None:
    stolen = ann.refresh_token
    tokens = await bob.post("/auth/refresh", {"refresh_token": stolen})  # whoever holds it is ann
    me = await bob.get("/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert me["id"] == ann.id


async def test_many_sessions_may_be_open(served: Whole) -> None:
    async with joined(served) as ann:
        for _ in range(3):
            await ann.log_in()
        assert (await ann.get("/auth/me"))["id"] == ann.id
