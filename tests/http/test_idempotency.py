"""One Idempotency-Key, one answer, one effect."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.http.log import deeds
from tests.http.person import GRAPH, PASSWORD, Person
from tests.http.problems import refused
from tests.http.test_workflows import OTHER
from tests.http.whole import Whole


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def posts(ann: Person) -> dict[str, tuple[str, Any, Any]]:
    """Every POST that carries a key: its path, a body, another body."""
    workflow = await ann.workflow()
    older = await ann.workflow()
    await ann.post(f"/workflows/{older}/versions", {"graph": OTHER})
    run = await ann.run(workflow)
    return {
        "register": (
            "/auth/register",
            {"username": "n" + uuid4().hex[:8], "email": f"{uuid4().hex}@x.org", "password": PASSWORD},
            {"username": "n" + uuid4().hex[:8], "email": f"{uuid4().hex}@x.org", "password": PASSWORD},
        ),
        "workflow": ("/workflows", {"name": "a", "graph": GRAPH}, {"name": "b", "graph": GRAPH}),
        "public workflow": (
            "/workflows",
            {"name": "a", "graph": GRAPH, "public": True},
            {"name": "a", "graph": GRAPH, "public": False},
        ),
        "version": (f"/workflows/{workflow}/versions", {"graph": OTHER}, {"graph": GRAPH}),
        "restored version": (f"/workflows/{older}/versions/1/restore", {"note": "a"}, {"note": "b"}),
        "run": (f"/workflows/{workflow}/runs", {"priority": 2}, {"priority": 3}),
        "cancel": (f"/runs/{run}/cancel", None, {"really": True}),
        "logout": ("/auth/logout", None, {"really": True}),
    }


@pytest.mark.parametrize(
    "name",
    ["register", "workflow", "public workflow", "version", "restored version", "run", "cancel", "logout"],
)
async def test_a_repeat_gets_the_same_answer_and_writes_nothing(
    served: Whole, ann: Person, name: str
) -> None:
    path, body, other = (await posts(ann))[name]
    key = uuid4().hex
    first = await ann.ask("POST", path, json=body, headers=keyed(key))
    assert first.is_success, first.text
    before = deeds(served)
    for _ in range(2):
        again = await ann.ask("POST", path, json=body, headers=keyed(key))
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert again.headers.get("location") == first.headers.get("location")
    refused(await ann.ask("POST", path, json=other, headers=keyed(key)), 409)
    assert deeds(served) == before


@pytest.mark.parametrize("name", ["register", "workflow", "version", "run", "cancel"])
async def test_of_many_repeats_at_once_one_has_an_effect(served: Whole, ann: Person, name: str) -> None:
    path, body, _ = (await posts(ann))[name]
    before, key = deeds(served), uuid4().hex
    answers = await asyncio.gather(*(ann.ask("POST", path, json=body, headers=keyed(key)) for _ in range(8)))
    assert {answer.text for answer in answers if answer.is_success} == {answers[0].text}
    assert {answer.status_code for answer in answers} == {answers[0].status_code}
    events = {"register": 3, "workflow": 2, "version": 1, "run": 1, "cancel": 1}[name]
    assert deeds(served) - before == events


async def test_the_key_of_one_account_is_not_the_key_of_another(ann: Person, bob: Person) -> None:
    key = uuid4().hex
    mine = await ann.post("/workflows", {"name": "mine", "graph": GRAPH}, headers=keyed(key))
    theirs = await bob.post("/workflows", {"name": "theirs", "graph": GRAPH}, headers=keyed(key))
    assert mine["id"] != theirs["id"]


async def test_a_key_belongs_to_one_address(ann: Person) -> None:
    one, other = await ann.workflow(), await ann.workflow()
    key = uuid4().hex
    await ann.post(f"/workflows/{one}/runs", {}, headers=keyed(key))
    refused(await ann.ask("POST", f"/workflows/{other}/runs", json={}, headers=keyed(key)), 409)


async def test_what_was_refused_may_be_mended_under_the_same_key(ann: Person) -> None:
    key = uuid4().hex
    refused(await ann.ask("POST", "/workflows", json={"name": "", "graph": GRAPH}, headers=keyed(key)), 422)
    await ann.post("/workflows", {"name": "mended", "graph": GRAPH}, headers=keyed(key))


async def test_a_login_is_never_repeated_from_memory(nobody: Person) -> None:
    await nobody.register()
    asked, key = {"login": nobody.name, "password": PASSWORD}, uuid4().hex
    first = await nobody.post("/auth/login", asked, headers=keyed(key))
    again = await nobody.post("/auth/login", asked, headers=keyed(key))
    assert first["refresh_token"] != again["refresh_token"]


@pytest.mark.parametrize("key", [b"", b"x" * 256, "ключ".encode(), b"\x7f", b"\xff", b"a\tb"])
async def test_a_key_that_cannot_be_one_is_refused(served: Whole, ann: Person, key: bytes) -> None:
    before = deeds(served)
    for path, body in (("/workflows", {"name": "a", "graph": GRAPH}), ("/auth/logout", None)):
        refused(await ann.ask("POST", path, json=body, headers={"Idempotency-Key": key}), 400)
    assert deeds(served) == before
    await ann.post("/workflows", {"name": "a", "graph": GRAPH}, headers=keyed("x" * 255))
