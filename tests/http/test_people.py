"""Accounts as administrators see and change them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from adapters.http.past import AccountAnswer
from adapters.http.people import PersonPage
from domain.account import Role
from infra.admin import create, suspend
from tests.http.administrators import administrator, give
from tests.http.person import PASSWORD, Person, joined
from tests.http.problems import refused
from tests.http.test_api_keys import by_key, made
from tests.http.test_sockets import line
from tests.http.whole import Whole, another_api


@pytest.fixture
async def admin(served: Whole) -> AsyncIterator[Person]:
    async with administrator(served) as person:
        yield person


async def listed(admin: Person, **asked: Any) -> list[str]:
    """The names on all pages, two a page."""
    names, cursor = [], None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = await admin.get("/admin/accounts", params={"limit": 2} | asked | more)
        msgspec.convert(page, PersonPage)
        names += [each["username"] for each in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            return names


async def seen_by(admin: Person, *people: Person) -> None:
    """What others wrote is in the view that the administrator asks."""


async def test_everybody_is_found_by_the_beginning_of_the_name(served: Whole, admin: Person) -> None:
    begins = f"q{uuid4().hex[:8]}"
    people = []
    for letter in "cab":
        async with joined(served) as person:
            wish = {"username": f"{begins}-{letter}X", "email": f"{begins}{letter}@example.org"}
            people.append(await person.post("/auth/register", wish | {"password": PASSWORD}))
            await seen_by(admin, person)
    assert await listed(admin, search=begins.upper()) == [f"{begins}-{letter}X" for letter in "abc"]
    newest = await admin.get("/admin/accounts", params={"limit": 3})
    assert newest["items"][0]["id"] == people[-1]["id"]
    assert await listed(admin, search=f"{begins}-zz") == []
    assert await listed(admin, search="%") == []
    refused(await admin.ask("GET", "/admin/accounts", params={"search": "a\x00b"}), 422)


async def test_an_account_is_shown_with_its_address_and_what_it_may_have(admin: Person, bob: Person) -> None:
    limits = {"reason": "Agreed.", "weight": 2.0, "queued": 7}
    await admin.ask("PUT", f"/admin/accounts/{bob.id}/limits", json=limits)
    await seen_by(admin, bob)
    shown = await admin.get(f"/admin/accounts/{bob.id}")
    msgspec.convert(shown, AccountAnswer)
    assert (shown["username"], shown["email"], shown["role"]) == (bob.name, bob.email, "member")
    assert (shown["weight"], shown["limits"]["queued"], shown["sessions"]) == (2.0, 7, 1)
    refused(await admin.ask("GET", f"/admin/accounts/{uuid4()}"), 404)


async def test_a_role_is_given_and_taken_by_others_only(served: Whole, admin: Person, bob: Person) -> None:
    path = f"/admin/accounts/{bob.id}"
    await admin.ask("PATCH", path, json={"reason": "She asked for it.", "role": "admin"})
    await bob.get("/admin/accounts")
    for what in ({"role": "member"}, {"suspended": True}):
        refused(await bob.ask("PATCH", path, json={"reason": "Enough."} | what), 409)
    refused(await bob.ask("DELETE", "/accounts/me", json={"password": PASSWORD}), 409)
    both = await asyncio.gather(
        admin.ask("PATCH", path, json={"reason": "One.", "role": "moderator"}),
        bob.ask("PATCH", f"/admin/accounts/{admin.id}", json={"reason": "Other.", "role": "moderator"}),
    )
    assert sorted(answer.status_code for answer in both) == [200, 403]
    left, gone = (admin, bob) if both[0].status_code == 200 else (bob, admin)
    assert gone.name in await listed(left, role="moderator")
    refused(await gone.ask("GET", "/admin/accounts"), 403)
    await give(served, admin, Role.ADMIN)


async def test_whoever_is_suspended_is_out_in_every_process_at_once(
    served: Whole, admin: Person, bob: Person
) -> None:
    key = (await made(bob, "read", "write"))["key"]
    run = await bob.run(await bob.workflow())
    token = dict(bob.http.headers)["authorization"]
    with another_api(served) as second:
        async with line(second, bob) as watching, joined(second) as guest:
            path = f"/admin/accounts/{bob.id}"
            suspended = await admin.ask("PATCH", path, json={"reason": "Mining.", "suspended": True})
            assert suspended.json()["position"] > 0
            assert await watching.closed() == 4401
            refused(await guest.ask("GET", "/auth/me", headers={"Authorization": token}), 401)
    async with asyncio.timeout(20):
        while (await bob.ask("GET", "/auth/me")).status_code != 401:
            await asyncio.sleep(0.05)
    refused(await bob.ask("POST", "/auth/refresh", json={"refresh_token": bob.refresh_token}), 401)
    refused(await by_key(bob, key, "GET", "/runs"), 401)
    login = {"login": bob.name, "password": PASSWORD}
    told = refused(await bob.ask("POST", "/auth/login", json=login), 403)
    assert "Mining." in told["detail"]
    assert bob.name in await listed(admin, suspended=True)

    await admin.ask("PATCH", path, json={"reason": "A mistake.", "suspended": False})

    await bob.log_in()
    assert (await bob.get(f"/runs/{run}"))["status"] == "queued"
    assert bob.name not in await listed(admin, suspended=True)


async def test_a_change_of_nothing_or_without_a_reason_is_refused(admin: Person, bob: Person) -> None:
    path = f"/admin/accounts/{bob.id}"
    for body in (
        {"reason": "Because."},
        {"role": "admin"},
        {"reason": "", "role": "moderator"},
        {"reason": "x", "role": "owner"},
        {"reason": "x", "role": "member", "erased": True},
    ):
        refused(await admin.ask("PATCH", path, json=body), 422)
    refused(
        await admin.ask("PATCH", f"/admin/accounts/{uuid4()}", json={"reason": "x", "role": "admin"}), 404
    )


async def test_the_first_administrator_is_made_at_the_terminal(
    served: Whole, nobody: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    def made_with(password: str) -> int:
        return create(served.settings, nobody.name, nobody.email, password)

    assert await asyncio.to_thread(made_with, "short") == 1
    assert "password: It must have 8" in capsys.readouterr().err
    assert await asyncio.to_thread(made_with, PASSWORD) == 0
    await nobody.log_in()
    await nobody.get("/admin/accounts")
    assert await asyncio.to_thread(made_with, PASSWORD) == 1

    def keep_out(*, suspended: bool) -> int:
        return suspend(served.settings, nobody.name.upper(), "Because.", suspended=suspended)

    assert await asyncio.to_thread(lambda: keep_out(suspended=True)) == 0
    refused(await nobody.ask("POST", "/auth/login", json={"login": nobody.name, "password": PASSWORD}), 403)
    assert await asyncio.to_thread(lambda: keep_out(suspended=False)) == 0
    await nobody.log_in()
