"""One's sessions at the door: what ends them ends them everywhere, and what is open of them."""

import asyncio

from tests.http.person import PASSWORD, Person, joined
from tests.http.problems import refused
from tests.http.test_sockets import line
from tests.http.whole import Whole, another_api

NEW = "another correct horse"


async def elsewhere(ann: Person) -> dict[str, str]:
    """Another session of hers: the header that it shows."""
    tokens = await ann.post("/auth/login", {"login": ann.name, "password": PASSWORD})
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def test_another_password_ends_other_sessions_in_every_process(served: Whole, ann: Person) -> None:
    other = await elsewhere(ann)
    old = ann.http.headers["Authorization"]
    with another_api(served) as second:
        async with joined(second) as guest:
            await guest.get("/auth/me", headers=other)
            changed = await ann.post("/auth/password", {"password": PASSWORD, "new_password": NEW})
            for header in (other, {"Authorization": old}):
                refused(await ann.ask("GET", "/auth/me", headers=header), 401)
                async with asyncio.timeout(20):
                    while (await guest.ask("GET", "/auth/me", headers=header)).status_code != 401:
                        await asyncio.sleep(0.05)
            renewed = {"Authorization": f"Bearer {changed['access_token']}"}
            for person in (ann, guest):
                assert (await person.get("/auth/me", headers=renewed))["id"] == ann.id
    refused(await ann.ask("POST", "/auth/login", json={"login": ann.name, "password": PASSWORD}), 401)
    await ann.post("/auth/refresh", {"refresh_token": ann.refresh_token})


async def test_sockets_and_streams_end_with_their_sessions(served: Whole, ann: Person, bob: Person) -> None:
    run = await ann.run(await ann.workflow())
    async with (
        line(served, ann) as hers,
        line(served, bob) as his,
        ann.http.stream("GET", f"/api/v1/runs/{run}/live") as stream,
    ):
        assert stream.status_code == 200
        await ann.post("/auth/password", {"password": PASSWORD, "new_password": NEW})
        assert await hers.closed() == 4401
        async with asyncio.timeout(20):
            async for _ in stream.aiter_bytes():
                pass  # until it ends: the run still waits
        await his.say(op="subscribe", all=True)
        await his.hear("subscribed")


async def test_a_socket_ends_with_the_key_it_came_with(served: Whole, ann: Person) -> None:
    key = await ann.post("/api-keys", {"name": "bot", "scopes": ["read"]})
    async with line(served) as bots:
        await bots.say(op="login", token=key["key"])
        await bots.hear("ready")
        await ann.ask("DELETE", f"/api-keys/{key['id']}")
        assert await bots.closed() == 4401


async def test_the_address_is_changed_and_another_may_have_the_old_one(ann: Person, nobody: Person) -> None:
    old, new = ann.email, f"{ann.name}@example.net"
    refused(await ann.ask("POST", "/auth/email", json={"password": "wrong one", "email": new}), 403)
    changed = await ann.post("/auth/email", {"password": PASSWORD, "email": new})
    ann.http.headers["Authorization"] = f"Bearer {changed['access_token']}"
    assert (await ann.get("/auth/me"))["email"] == new
    await nobody.post("/auth/login", {"login": new.upper(), "password": PASSWORD})
    asked = {"username": nobody.name, "email": old, "password": PASSWORD}
    nobody.id = (await nobody.post("/auth/register", asked))["id"]
    refused(await ann.ask("POST", "/auth/email", json={"password": PASSWORD, "email": old}), 409)
    assert nobody.id != ann.id


async def test_sessions_are_listed_and_ended(ann: Person) -> None:
    browser = {"User-Agent": "A browser " + "x" * 400}
    tokens = await ann.post("/auth/login", {"login": ann.name, "password": PASSWORD}, headers=browser)
    items = (await ann.get("/auth/sessions"))["items"]
    assert [each["current"] for each in items] == [False, True]
    assert items[0]["user_agent"].startswith("A browser")
    assert len(items[0]["user_agent"]) <= 300
    assert items[0]["address"] == "127.0.0.1"
    await ann.ask("DELETE", f"/auth/sessions/{items[0]['id']}")
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    refused(await ann.ask("GET", "/auth/me", headers=header), 401)
    refused(await ann.ask("DELETE", f"/auth/sessions/{items[0]['id']}"), 404)
    assert [each["current"] for each in (await ann.get("/auth/sessions"))["items"]] == [True]


async def test_everywhere_but_here_is_logged_out(ann: Person) -> None:
    others = [await elsewhere(ann) for _ in range(2)]
    renewed = (await ann.ask("DELETE", "/auth/sessions")).json()
    for header in others:
        refused(await ann.ask("GET", "/auth/me", headers=header), 401)
    ann.http.headers["Authorization"] = f"Bearer {renewed['access_token']}"
    assert len((await ann.get("/auth/sessions"))["items"]) == 1
