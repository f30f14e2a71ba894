"""The editor's door: logging in at a page, staying, leaving, and what ends it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from msgspec.structs import replace
from websockets import Origin
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from adapters.http.editor.serving import Editor
from adapters.http.gateway.identity import COOKIE
from adapters.http.gateway.shared import shared
from adapters.http.parts import Parts
from adapters.identity.secrets import Access
from domain.ids import AccountId, SessionId
from infra.wiring import now
from tests.gateway.surfing import entered, is_in, sent, surfing, with_a_second_factor
from tests.http.person import PASSWORD, Person, client
from tests.http.whole import Whole, another_api

INDEX = "<!doctype html><html><head><title>ComfyUI</title></head><body><div id='app'></div></body></html>"


@pytest.fixture(scope="module")
def studio(served: Whole, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """An API with an editor, known to people by https."""
    folder: Path = tmp_path_factory.mktemp("editor")
    (folder / "index.html").write_text(INDEX)
    (folder / "app.js").write_text("export {}")

    @asynccontextmanager
    async def with_editor(parts: Parts) -> AsyncIterator[Parts]:
        yield replace(parts, editor=folder, public_url="https://studio.example")

    with another_api(served, with_editor) as api:
        yield api


@pytest.fixture
async def browser(studio: Whole) -> AsyncIterator[httpx.AsyncClient]:
    async with surfing(studio) as opened:
        yield opened


async def test_the_way_in_and_out_again(browser: httpx.AsyncClient, ann: Person) -> None:
    for address, to in {"/": "editor/", "/editor": "editor/", "/editor/": "login"}.items():
        answer = await browser.get(address)
        assert (answer.status_code, answer.headers["location"]) == (303, to)
    wrong = await sent(browser, "login", login=ann.name, password="wrong horse")
    assert wrong.status_code == 401
    assert "Wrong login or password." in wrong.text
    assert ann.name in wrong.text
    assert "wrong horse" not in wrong.text
    (morsel,) = (await entered(browser, ann)).headers.get_list("set-cookie")
    for word in ("HttpOnly", "SameSite=Lax", "Secure", "Path=/", f"Max-Age={30 * 86_400}"):
        assert word in morsel.split("; ")
    front = await browser.get("/editor/")
    assert f'data-account="{ann.id}" data-name="{ann.name}" data-by-cookie' in front.text
    assert "default-src 'self'" in front.headers["content-security-policy"]
    assert front.headers["cache-control"] == "no-store"
    me = (await browser.get("/editor/session")).json()
    assert me == {"account": ann.id, "name": ann.name}
    listed = (await ann.get("/auth/sessions"))["items"]
    assert len(listed) == 2
    gone = await sent(browser, "logout")
    assert (gone.status_code, gone.headers["location"]) == (303, "login")
    assert gone.headers["clear-site-data"] == '"storage"'
    assert len((await ann.get("/auth/sessions"))["items"]) == 1
    assert (await browser.get("/editor/")).headers["location"] == "login"


async def test_the_cookie_opens_comfyui_and_nothing_else(
    studio: Whole, browser: httpx.AsyncClient, ann: Person
) -> None:
    await entered(browser, ann)
    token = browser.cookies[COOKIE]
    bearer = {"Authorization": f"Bearer {token}"}
    async with client(studio.url) as other:
        for path in ("/api/v1/auth/me", "/editor/"):
            answer = await other.get(path, headers=bearer)
            assert answer.status_code == 401, path
        with_cookie = {"Cookie": f"{COOKIE}={token}"}
        assert (await other.get("/api/v1/auth/me", headers=with_cookie)).status_code == 401
        access = ann.http.headers["authorization"].partition(" ")[2]
        answer = await other.get("/editor/session", headers={"Cookie": f"{COOKIE}={access}"})
        assert answer.status_code == 401


@pytest.mark.parametrize("page", ["login", "join", "code", "logout"])
async def test_other_sites_send_no_form(browser: httpx.AsyncClient, ann: Person, page: str) -> None:
    await entered(browser, ann)
    body = {"login": ann.name, "password": PASSWORD, "username": "smuggler", "email": "s@example.org"}
    for foreign in (
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": ""},
    ):
        answer = await browser.post(f"/editor/{page}", data=body, headers=foreign)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert await is_in(browser)


async def test_other_sites_reach_comfyui_neither_by_request_nor_by_socket(
    studio: Whole, browser: httpx.AsyncClient, ann: Person
) -> None:
    await entered(browser, ann)
    own = f"http://{urlsplit(studio.url).netloc}"
    for path in ("/editor/api/queue", "/comfy/queue"):
        for shown, status in (
            ({}, 200),
            ({"Sec-Fetch-Site": "", "Origin": own}, 200),
            ({"Sec-Fetch-Site": "", "Origin": "https://studio.example"}, 200),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, 403),
            ({"Sec-Fetch-Site": ""}, 403),
        ):
            answer = await browser.post(path, content=b'{"clear": true}', headers=shown)
            assert answer.status_code == status, (path, shown, answer.text)
    address = f"{studio.url.replace('http', 'ws')}/editor/ws"
    cookie = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    for origin in ("https://evil.example", "null"):
        with pytest.raises(InvalidStatus):
            await connect(address, additional_headers=cookie, origin=Origin(origin), proxy=None)
    async with connect(address, additional_headers=cookie, origin=Origin(own), proxy=None) as socket:
        assert '"status"' in str(await socket.recv())
        assert (await sent(browser, "logout")).status_code == 303
        async with asyncio.timeout(30):
            await socket.wait_closed()
    with pytest.raises(InvalidStatus):
        await connect(address, additional_headers=cookie, origin=Origin(own), proxy=None)


async def test_whatever_ends_the_session_ends_it_in_the_browser(
    studio: Whole, browser: httpx.AsyncClient, ann: Person
) -> None:
    await entered(browser, ann)
    sessions = (await ann.get("/auth/sessions"))["items"]
    (theirs,) = [each["id"] for each in sessions if not each["current"]]
    elsewhere = ann.http.headers["authorization"]
    async with client(studio.url) as http:  # of the same process, which hears of it at once
        http.headers["Authorization"] = elsewhere
        assert (await http.delete(f"/api/v1/auth/sessions/{theirs}")).status_code == 200
        assert not await is_in(browser)
        await entered(browser, ann)
        assert await is_in(browser)
        new = {"password": PASSWORD, "new_password": "another correct horse"}
        assert (await http.post("/api/v1/auth/password", json=new)).status_code == 200
    assert not await is_in(browser)


async def test_a_cookie_is_looked_up_in_the_log_and_not_only_in_what_is_remembered(
    studio: Whole, browser: httpx.AsyncClient, ann: Person
) -> None:
    """As after the hour in which a process remembers what has ended: by its signature the cookie would be good."""
    signed = studio.secrets.browser_token(
        Access(AccountId(UUID(ann.id)), SessionId(uuid4())),
        now() + timedelta(days=1),
    )
    browser.cookies.set(COOKIE, signed)
    assert not await is_in(browser)


async def test_who_comes_back_within_the_month_need_not_log_in_again(
    studio: Whole, browser: httpx.AsyncClient, ann: Person
) -> None:
    await entered(browser, ann)
    assert "set-cookie" not in (await browser.get("/editor/session")).headers
    shown = studio.secrets.read_browser_token(browser.cookies[COOKIE], now())
    almost_over = studio.secrets.browser_token(shown, now() + timedelta(minutes=1))
    browser.cookies.set(COOKIE, almost_over)
    renewed = await browser.get("/editor/session")
    (morsel,) = renewed.headers.get_list("set-cookie")
    assert f"Max-Age={30 * 86_400}" in morsel
    assert "HttpOnly" in morsel
    assert renewed.headers["cache-control"] == "no-store"
    fresh = morsel.partition(";")[0].partition("=")[2]
    later = studio.secrets.read_browser_token(fresh, now() + timedelta(days=29))
    assert (later.account, later.session) == (shown.account, shown.session)
    (listed,) = [
        each for each in (await ann.get("/auth/sessions"))["items"] if each["id"] == str(shown.session)
    ]
    assert listed["used_at"] > listed["began_at"]
    await sent(browser, "logout")
    for token in (fresh, almost_over):  # one session: it ends as a whole
        browser.cookies.set(COOKIE, token)
        answer = await browser.get("/editor/session")
        assert (answer.status_code, answer.headers.get("set-cookie")) == (401, None)


async def test_a_code_is_asked_for_on_a_page_of_its_own(browser: httpx.AsyncClient, ann: Person) -> None:
    codes = await with_a_second_factor(ann)
    answer = await sent(browser, "login", login=ann.name, password=PASSWORD, again="1")
    assert (answer.status_code, answer.headers["location"]) == (303, "code?again")
    assert COOKIE not in browser.cookies
    page = await browser.get("/editor/code?again")
    assert 'name="again" value="1"' in page.text
    wrong = await sent(browser, "code", code="000000", again="1")
    assert wrong.status_code == 401
    assert "The code is wrong" in wrong.text
    right = await sent(browser, "code", code=codes[0], again="1")
    assert (right.status_code, right.headers["location"]) == (303, "again")
    assert await is_in(browser)
    assert "Welcome back" in (await browser.get("/editor/again")).text


async def test_somebody_new_joins_at_the_page(browser: httpx.AsyncClient, nobody: Person) -> None:
    short = await sent(browser, "join", username=nobody.name, email=nobody.email, password="short")
    assert short.status_code == 422
    assert "8 to 200" in short.text
    joined = await sent(browser, "join", username=nobody.name, email=nobody.email, password=PASSWORD)
    assert (joined.status_code, joined.headers["location"]) == (303, "./")
    assert (await browser.get("/editor/session")).json()["name"] == nobody.name
    taken = await sent(browser, "join", username=nobody.name, email=nobody.email, password=PASSWORD)
    assert taken.status_code == 409


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"login=%ff", "application/x-www-form-urlencoded", 400),
        (b"login=a%00b&password=x", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=1" % n for n in range(50)), "application/x-www-form-urlencoded", 400),
        (b"x" * 20_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 415),
        (b"", "application/x-www-form-urlencoded", 401),
    ],
)
async def test_a_form_that_is_none_is_answered_with_the_page(
    browser: httpx.AsyncClient, body: bytes, kind: str, status: int
) -> None:
    answer = await browser.post("/editor/login", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert "<form" in answer.text


async def test_without_an_editor_the_page_says_how_to_get_one() -> None:
    nothing: dict[str, Any] = dict.fromkeys(Parts.__struct_fields__)
    scope = {"method": "GET", "path": "/editor/", "headers": []}
    parts = Parts(**nothing)
    answer = await Editor(parts, shared(parts)).answer(scope, never, [])
    assert answer is not None
    assert answer.status == 404
    assert b"make editor" in answer.body


async def never() -> Any:
    raise AssertionError("It has no body.")
