"""A browser at the editor's pages, without a screen and scripts."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from domain.totp import code_of, step_at
from infra.wiring import now
from tests.http.person import PASSWORD, Person, client
from tests.http.whole import Whole


@asynccontextmanager
async def surfing(at: Whole) -> AsyncIterator[httpx.AsyncClient]:
    """It sends what a browser sends from a page of the same origin."""
    async with client(at.url) as opened:
        opened.headers.update({"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})
        yield opened


async def sent(browser: httpx.AsyncClient, page: str, **fields: str) -> httpx.Response:
    answer = await browser.post(f"/editor/{page}", data=fields)
    kept = {cookie.name: str(cookie.value) for cookie in browser.cookies.jar if not cookie.domain}
    for morsel in answer.headers.get_list("set-cookie"):  # `Secure`: httpx would not send it over http
        name, _, value = morsel.partition(";")[0].partition("=")
        kept[name] = value
    browser.cookies.clear()
    for name, value in kept.items():
        if value:
            browser.cookies.set(name, value)
    return answer


async def entered(browser: httpx.AsyncClient, person: Person) -> httpx.Response:
    answer = await sent(browser, "login", login=person.name, password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "./"), answer.text
    return answer


async def is_in(browser: httpx.AsyncClient) -> bool:
    return (await browser.get("/editor/session")).status_code == 200


async def with_a_second_factor(person: Person) -> list[str]:
    """The recovery codes."""
    begun = await person.post("/auth/totp", {"password": PASSWORD})
    code = code_of(base64.b32decode(begun["secret"]), step_at(now()))
    on = await person.post("/auth/totp/on", {"factor": begun["factor"], "code": code})
    codes: list[str] = on["recovery_codes"]
    return codes
