"""The editor's log-in page and a provider of identities: there and back again, with and without a second factor."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from adapters.http.parts import Parts
from commands.dispatcher import Dispatcher
from infra.sign_on import provider
from tests.gateway.surfing import is_in, surfing, with_a_second_factor
from tests.http.person import PASSWORD, joined
from tests.http.whole import Whole, another_api
from tests.identity import openid


@pytest.fixture(scope="module")
def home() -> Iterator[openid.Provider]:
    with openid.running() as running:
        yield running


@pytest.fixture(scope="module")
def studio(served: Whole, home: openid.Provider) -> Iterator[Whole]:
    """An API that knows the provider, which sends people back to the API's own callback."""

    @asynccontextmanager
    async def with_provider(parts: Parts) -> AsyncIterator[Parts]:
        known = replace(
            served.settings,
            public_url=parts.public_url,
            oidc_issuer=home.url,
            oidc_client_id=openid.CLIENT,
            oidc_client_secret=openid.SECRET,
            oidc_label="Home",
            oidc_private_addresses=True,
        )
        async with provider(known) as identities:
            yield replace(parts, commands=Dispatcher(replace(parts.commands.needs, provider=identities)))

    with another_api(served, with_provider) as api:
        yield api


async def gone(browser: httpx.AsyncClient, home: openid.Provider) -> httpx.Response:
    """Off to the provider, and back to where that sends on to."""
    began = await browser.get("/editor/sign-on")
    assert began.status_code == 303, began.text
    back = await browser.get(home.allow(began.headers["location"]))
    assert back.status_code == 303, back.text
    return await browser.get(back.headers["location"])


async def test_somebody_comes_by_the_provider(studio: Whole, home: openid.Provider) -> None:
    home.who = {"sub": uuid4().hex, "preferred_username": f"o-{uuid4().hex[:10]}"}
    async with surfing(studio) as browser, surfing(studio) as other:
        page = (await browser.get("/editor/login")).text
        assert '<a class="button second" href="sign-on">Home</a>' in page
        entered = await gone(browser, home)
        assert (entered.status_code, entered.headers["location"]) == (303, "./"), entered.text
        assert (await browser.get("/editor/session")).json()["name"] == home.who["preferred_username"]
        began = await browser.get("/editor/sign-on")
        back = await browser.get(home.allow(began.headers["location"]))
        stolen = await other.get(back.headers["location"])  # in a browser that has not begun it
        assert stolen.status_code == 401
        assert not await is_in(other)
        refused = await browser.get("/editor/signed-on?state=forged&code=forged")
        assert refused.status_code == 401
        assert "<form" in refused.text


async def test_a_log_in_begun_at_the_api_is_still_answered_with_tokens(
    studio: Whole, home: openid.Provider
) -> None:
    home.who = {"sub": uuid4().hex, "preferred_username": f"o-{uuid4().hex[:10]}"}
    async with surfing(studio) as browser:
        await browser.get("/editor/sign-on")  # and never finished
        began = await browser.get("/api/v1/auth/oidc")
        answer = await browser.get(home.allow(began.headers["location"]))
        assert answer.json()["tokens"]["access_token"]


async def test_the_second_factor_counts_here_as_well(studio: Whole, home: openid.Provider) -> None:
    home.who = {"sub": uuid4().hex}
    async with joined(studio) as ann, surfing(studio) as browser:
        codes = await with_a_second_factor(ann)
        link = (await ann.post("/auth/oidc/link", {"password": PASSWORD}))["url"]
        await ann.get("/auth/oidc/callback", params=dict(httpx.URL(home.allow(link)).params))
        page = await gone(browser, home)
        assert (page.status_code, await is_in(browser)) == (200, False)
        state = page.text.partition('name="state" value="')[2].partition('"')[0]
        wrong = await browser.post("/editor/code", data={"state": state, "code": "000000"})
        assert (wrong.status_code, await is_in(browser)) == (401, False)
        right = await browser.post("/editor/code", data={"state": state, "code": codes[0]})
        assert (right.status_code, right.headers["location"]) == (303, "./")
        assert (await browser.get("/editor/session")).json()["account"] == ann.id
