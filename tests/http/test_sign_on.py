"""Logging in by a real provider in another process's place: over HTTP, there and back again."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from msgspec.structs import replace

from adapters.http.parts import Parts
from adapters.http.sign_on import COOKIE, SignedOnAnswer
from commands.dispatcher import Dispatcher
from infra.sign_on import provider
from tests.http.person import PASSWORD, Person, client, joined, somebody
from tests.http.problems import refused
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, another_api
from tests.identity import openid


@pytest.fixture(scope="module")
def home() -> Iterator[openid.Provider]:
    with openid.running() as running:
        yield running


@pytest.fixture(scope="module")
def studio(served: Whole, home: openid.Provider) -> Iterator[Whole]:
    """An API that knows the provider."""
    known = replace(
        served.settings,
        oidc_issuer=home.url,
        oidc_client_id=openid.CLIENT,
        oidc_client_secret=openid.SECRET,
        oidc_label="Home",
        oidc_redirect_url="https://studio.example/back",
        oidc_private_addresses=True,
    )

    @asynccontextmanager
    async def with_provider(parts: Parts) -> AsyncIterator[Parts]:
        async with provider(known) as identities:
            yield replace(parts, commands=Dispatcher(replace(parts.commands.needs, provider=identities)))

    with another_api(served, with_provider) as api:
        yield api


def someone(home: openid.Provider, **more: Any) -> str:
    """A stranger at the provider's door."""
    name = f"o-{uuid4().hex[:10]}"
    home.who = {"sub": name, "preferred_username": name, "email": f"{name}@example.org"} | more
    return name


async def gone(browser: httpx.AsyncClient, home: openid.Provider, **query: str) -> httpx.Response:
    """Off to the provider and back, as the page at its way back does."""
    began = await browser.get("/api/v1/auth/oidc")
    assert (began.status_code, began.headers["cache-control"]) == (303, "no-store")
    come = httpx.URL(home.allow(began.headers["location"]))
    assert (come.host, come.path) == ("studio.example", "/back")
    return await browser.get("/api/v1/auth/oidc/callback", params=dict(come.params) | query)


async def test_somebody_comes_by_the_provider_and_comes_again(studio: Whole, home: openid.Provider) -> None:
    async with client(studio.url) as browser:
        (button,) = (await browser.get("/api/v1/auth/providers")).json()["items"]
        assert button == {"label": "Home", "url": f"{studio.url}/api/v1/auth/oidc"}
        name = someone(home, email_verified=True)
        answer = await gone(browser, home)
        assert answer.status_code == 200, answer.text
        shaped(SignedOnAnswer, answer.json())
        bearer = {"Authorization": f"Bearer {answer.json()['tokens']['access_token']}"}
        me = (await browser.get("/api/v1/auth/me", headers=bearer)).json()
        assert (me["username"], me["email"], me["email_confirmed"]) == (name, f"{name}@example.org", True)
        assert (me["has_password"], me["provider_linked"]) == (False, True)
        again = (await gone(browser, home)).json()["tokens"]
        found = await browser.get(
            "/api/v1/auth/me", headers={"Authorization": f"Bearer {again['access_token']}"}
        )
        assert found.json()["id"] == me["id"]
        renewed = await browser.post("/api/v1/auth/refresh", json={"refresh_token": again["refresh_token"]})
        assert renewed.status_code == 200


async def test_the_cookie_is_kept_from_scripts_and_other_sites(studio: Whole, home: openid.Provider) -> None:
    async with client(studio.url) as browser:
        began = await browser.get("/api/v1/auth/oidc")
    (cookie,) = began.headers.get_list("set-cookie")
    said = cookie.lower()
    assert cookie.startswith(f"{COOKIE}=")
    for word in ("httponly", "samesite=lax", "path=/api/v1/auth/oidc", "max-age="):
        assert word in said


async def test_what_was_not_begun_here_is_refused(studio: Whole, home: openid.Provider) -> None:
    someone(home)
    async with client(studio.url) as browser, client(studio.url) as other:
        for query in ({"state": "forged"}, {"code": "forged"}, {"state": ""}, {"code": "x" * 5_000}):
            refused(await gone(browser, home, **query), 401)
        began = await browser.get("/api/v1/auth/oidc")
        come = dict(httpx.URL(home.allow(began.headers["location"])).params)
        path = "/api/v1/auth/oidc/callback"
        for stranger in (client(studio.url), other):
            async with stranger if stranger is not other else somebody_with_cookie(other) as elsewhere:
                refused(await elsewhere.get(path, params=come), 401)
        assert (await browser.get(path, params=come)).status_code == 200
        refused(await browser.get(path, params=come), 401)  # played again
        refused(await browser.get(path, params={"error": "access_denied", "state": come["state"]}), 401)


@asynccontextmanager
async def somebody_with_cookie(browser: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Who has begun a log-in of their own."""
    assert (await browser.get("/api/v1/auth/oidc")).status_code == 303
    yield browser


async def test_an_account_is_linked_and_unlinked_by_its_owner(studio: Whole, home: openid.Provider) -> None:
    someone(home)
    async with joined(studio) as ann, client(studio.url) as browser:
        refused(await ann.ask("POST", "/auth/oidc/link", json={"password": "wrong"}), 403)
        url = (await ann.post("/auth/oidc/link", {"password": PASSWORD}))["url"]
        come = dict(httpx.URL(home.allow(url)).params)
        refused(await browser.get("/api/v1/auth/oidc/callback", params=come), 401)  # not the same browser
        done = await ann.ask("GET", "/auth/oidc/callback", params=come)
        assert done.json()["tokens"] is None
        assert (await ann.get("/auth/me"))["provider_linked"]
        tokens = (await gone(browser, home)).json()["tokens"]
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await ann.get("/auth/me", headers=headers))["id"] == ann.id
        answer = await ann.ask("DELETE", "/auth/oidc/link", json={"password": PASSWORD})
        assert answer.json()["position"] > 0
        assert not (await ann.get("/auth/me"))["provider_linked"]
        with psycopg.connect(studio.database.url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM work.sign_ons WHERE account = %s", (ann.id,)
            ).fetchone()
        assert row == (0,)


async def test_without_a_provider_there_is_none(nobody: Person) -> None:
    assert (await nobody.get("/auth/providers"))["items"] == []
    for path in ("/auth/oidc", "/auth/oidc/callback?code=a&state=b"):
        refused(await nobody.ask("GET", path), 404)


async def test_a_provider_that_is_away_is_told_of(served: Whole, home: openid.Provider) -> None:
    @asynccontextmanager
    async def lost(parts: Parts) -> AsyncIterator[Parts]:
        settings = replace(served.settings, oidc_issuer="http://127.0.0.1:9", oidc_client_id="x")
        async with provider(replace(settings, oidc_private_addresses=True)) as identities:
            yield replace(parts, commands=Dispatcher(replace(parts.commands.needs, provider=identities)))

    with another_api(served, lost) as api:
        async with somebody(api) as person:
            refused(await person.ask("GET", "/auth/oidc"), 503)
