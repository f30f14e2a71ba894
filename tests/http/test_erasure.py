"""Forgotten means: at once, by everybody, for good."""

import asyncio
from typing import Any

import psycopg
import pytest

from tests.http.person import PASSWORD, Person, somebody
from tests.http.problems import refused
from tests.http.routes import table
from tests.http.whole import Whole, another_api
from tests.servers import everything

ERASE = {"password": PASSWORD}


async def erased(person: Person, **more: Any) -> int:
    answer = await person.ask("DELETE", "/accounts/me", json=ERASE | more)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["position"])


async def test_after_an_erasure_name_and_address_are_nowhere(served: Whole, ann: Person) -> None:
    workflow = await ann.workflow("Left behind", public=True)
    await ann.run(await ann.workflow("Private"))
    assert ann.name in everything(served.database.url)
    await erased(ann)
    assert ann.name not in everything(served.database.url)
    async with somebody(served) as nobody:
        shown = {each["id"]: each["author"] for each in (await nobody.get("/gallery"))["items"]}
        assert shown[workflow] == "deleted account"


async def test_every_token_of_an_erased_account_is_refused_at_every_route(served: Whole, ann: Person) -> None:
    with another_api(served) as second:
        async with somebody(second) as elsewhere, somebody(served) as other_session:
            for person in (elsewhere, other_session):
                person.name = ann.name
                await person.log_in()
            await erased(ann)
            thing = "00000000-0000-4000-8000-000000000000"
            for method, route in table():
                path = route.replace(":uuid}", "}").replace(":int}", "}").replace(":str}", "}")
                path = path.replace("{number}", "1")
                for word in ("workflow", "run", "name", "digest"):
                    path = path.replace(f"{{{word}}}", thing)
                if "{" in path or route.startswith(
                    (
                        "/objects",
                        "/auth/login",
                        "/auth/register",
                        "/auth/refresh",
                        "/auth/providers",
                        "/announcements",
                    )
                ):
                    continue
                for person in (ann, other_session):
                    answer = await person.ask(method, path)
                    assert answer.status_code in (400, 401, 404, 415), f"{method} {route}: {answer.text}"
                    if method != "GET" or "outputs" not in route:
                        assert not answer.is_success

            async def closed() -> bool:
                return (await elsewhere.ask("GET", "/auth/me")).status_code == 401

            deadline = asyncio.get_running_loop().time() + 10
            while not await closed():
                assert asyncio.get_running_loop().time() < deadline
            refused(await ann.ask("POST", "/auth/refresh", json={"refresh_token": ann.refresh_token}), 401)
            refused(await ann.ask("POST", "/auth/login", json={"login": ann.name, "password": PASSWORD}), 401)


async def test_a_session_that_was_ended_is_refused_at_once(served: Whole, ann: Person) -> None:
    with another_api(served) as second:
        other = await joined_again(ann)
        await ann.post("/auth/logout")
        refused(await ann.ask("GET", "/auth/me"), 401)
        ann.http.base_url = second.url
        deadline = asyncio.get_running_loop().time() + 10
        while (await ann.ask("GET", "/auth/me")).status_code != 401:
            assert asyncio.get_running_loop().time() < deadline
        ann.http.headers["Authorization"] = f"Bearer {other}"
        assert (await ann.get("/auth/me"))["id"] == ann.id
    with another_api(served) as third:  # started since: it has read the log
        ann.http.base_url = third.url
        assert (await ann.get("/auth/me"))["id"] == ann.id


async def joined_again(person: Person) -> str:
    asked = {"login": person.name, "password": PASSWORD}
    return str((await person.post("/auth/login", asked))["access_token"])


async def test_a_process_that_starts_knows_who_has_gone(served: Whole, ann: Person) -> None:
    await erased(ann)
    with another_api(served) as later:
        ann.http.base_url = later.url
        refused(await ann.ask("GET", "/auth/me"), 401)


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " "])
async def test_only_who_knows_the_password_is_forgotten(ann: Person, password: str) -> None:
    refused(await ann.ask("DELETE", "/accounts/me", json={"password": password}), 403)
    assert (await ann.get("/auth/me"))["username"] == ann.name


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 422), ({"password": 1}, 422), ({"password": PASSWORD, "published": "perhaps"}, 422), ([], 422)],
)
async def test_a_wish_that_cannot_be_read_is_refused(ann: Person, body: Any, status: int) -> None:
    answer = await ann.ask("DELETE", "/accounts/me", json=body)
    assert answer.status_code in (400, status)
    assert (await ann.get("/auth/me"))["id"] == ann.id


async def test_the_names_are_free_again(served: Whole, ann: Person) -> None:
    await erased(ann)
    async with somebody(served) as heir:
        heir.name = ann.name
        await heir.register()
        await heir.log_in()
        assert (await heir.get("/auth/me"))["id"] != ann.id
        assert (await heir.get("/workflows"))["items"] == []


async def test_asking_twice_at_once_forgets_once(served: Whole, ann: Person) -> None:
    both = await asyncio.gather(*[ann.ask("DELETE", "/accounts/me", json=ERASE) for _ in range(3)])
    assert {answer.status_code for answer in both} <= {200, 202, 401}
    assert any(answer.is_success for answer in both)
    with psycopg.connect(served.database.url) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM log.events WHERE originator_id = %s AND topic = 'account.erased.v1'",
            (ann.id,),
        ).fetchone()
    assert rows == (1,)
