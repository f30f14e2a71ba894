"""Webhooks at the door, with a sender beside it and a server that receives."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook

from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.whole import Whole, another_api
from tests.webhooks.ground import QUICK, sending_with
from tests.webhooks.receiver import Receiver, Reply, receiving

URL = "https://example.org/hooks"


async def test_a_webhook_is_made_shown_changed_and_deleted(ann: Person) -> None:
    made = await ann.post("/webhooks", {"url": URL, "types": ["run.*"], "description": "The studio"})
    assert made["secret"].startswith("whsec_")
    where = f"/webhooks/{made['id']}"
    answer = await ann.ask("GET", where)
    assert answer.headers["ETag"] == '"1"'
    assert answer.json() == {
        "id": made["id"],
        "url": URL,
        "types": ["run.*"],
        "description": "The studio",
        "everybody": False,
        "ordered": True,
        "active": True,
        "notice": None,
        "disabled": None,
        "waiting": 0,
        "failing_since": None,
        "succeeded_at": None,
        "next_at": None,
        "old_secrets_until": [],
        "revision": 1,
    }
    assert (await ann.get("/webhooks"))["items"] == [answer.json()]
    changed = await ann.ask(
        "PATCH", where, json={"url": URL + "/new", "active": False}, headers={"If-Match": '"1"'}
    )
    assert changed.status_code == 200
    shown = await ann.get(where)
    assert (shown["url"], shown["active"], shown["types"]) == (URL + "/new", False, ["run.*"])
    refused(await ann.ask("PATCH", where, json={"description": "x"}, headers={"If-Match": '"1"'}), 412)
    assert (await ann.ask("DELETE", where)).status_code == 200
    refused(await ann.ask("GET", where), 404)
    assert (await ann.get("/webhooks"))["items"] == []
    assert (await ann.ask("DELETE", where)).json() == {"position": 0}


async def test_a_secret_is_shown_when_it_is_made_and_never_again(ann: Person) -> None:
    made = await ann.post("/webhooks", {"url": URL})
    rotated = await ann.post(f"/webhooks/{made['id']}/secret")
    assert rotated["secret"] != made["secret"]
    shown = (await ann.ask("GET", f"/webhooks/{made['id']}")).text
    assert "whsec_" not in shown
    assert len((await ann.get(f"/webhooks/{made['id']}"))["old_secrets_until"]) == 1
    history = (await ann.ask("GET", "/webhooks")).text
    assert "whsec_" not in history


async def test_the_same_request_makes_one_webhook(ann: Person) -> None:
    answers = await asyncio.gather(
        *(ann.post("/webhooks", {"url": URL}, headers={"Idempotency-Key": "one"}) for _ in range(5))
    )
    assert all(answer == answers[0] for answer in answers)
    assert len((await ann.get("/webhooks"))["items"]) == 1


async def test_twenty_are_enough_however_fast_they_are_made(ann: Person) -> None:
    answers = await asyncio.gather(*(ann.ask("POST", "/webhooks", json={"url": URL}) for _ in range(24)))
    assert sorted(answer.status_code for answer in answers) == [201] * 20 + [409] * 4
    assert len((await ann.get("/webhooks"))["items"]) == 20


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "http://127.0.0.1:5432/"}, "url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "https://user:pass@example.org/"}, "url"),
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": URL, "types": ["run.*", "foo"]}, "types.1"),
        ({"url": URL, "types": "run.*"}, "types"),
        ({"url": URL, "types": ["run.*"] * 60 + [f"a{n}" for n in range(60)]}, "types"),
        ({"url": URL, "description": "x" * 501}, "description"),
        ({"url": URL, "active": 1}, "active"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
    ],
)
async def test_what_is_wrong_is_named(ann: Person, body: dict[str, Any], field: str) -> None:
    problem = refused(await ann.ask("POST", "/webhooks", json=body), 422)
    assert problem["errors"][0]["field"] == field
    assert (await ann.get("/webhooks"))["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"after": -1}, "after"),
        ({"after": 2**63}, "after"),
        ({"after": 10**400}, "after"),
        ({"after": "2026-01-31T12:00:00"}, "after"),
        ({"after": "yesterday"}, "after"),
        ({"after": 5, "until": 4}, "until"),
        ({"after": 0, "types": ["nothing"]}, "types.0"),
    ],
)
async def test_ranges_that_make_no_sense_are_refused(ann: Person, body: dict[str, Any], field: str) -> None:
    made = await ann.post("/webhooks", {"url": URL})
    problem = refused(await ann.ask("POST", f"/webhooks/{made['id']}/replay", json=body), 422)
    assert problem["errors"][0]["field"] == field


async def test_strange_times_are_times(ann: Person) -> None:
    made = await ann.post("/webhooks", {"url": URL})
    for after in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        answer = await ann.ask("POST", f"/webhooks/{made['id']}/replay", json={"after": after})
        assert answer.status_code in (202, 409)


async def test_an_unknown_state_or_cursor_is_refused(ann: Person) -> None:
    made = await ann.post("/webhooks", {"url": URL})
    where = f"/webhooks/{made['id']}/deliveries"
    assert (await ann.get(where)) == {"items": [], "next_cursor": None}
    for asked in ({"state": "lost"}, {"cursor": "x"}, {"limit": 0}, {"limit": 201}):
        refused(await ann.ask("GET", where, params=asked), 422)


async def test_the_whole_story(served: Whole) -> None:
    """A real receiver, through an API that may dial into this machine."""
    settings = replace(served.settings, webhook_private_addresses=True)
    async with receiving() as receiver:
        with another_api(replace(served, settings=settings)) as near:
            async with joined(near) as ann, sending_with(settings, QUICK):
                await told(ann, receiver)


async def told(ann: Person, receiver: Receiver) -> None:
    made = await ann.post("/webhooks", {"url": f"{receiver.url}/a", "types": ["workflow.*"]})
    where = f"/webhooks/{made['id']}"
    await ann.post(f"{where}/test")
    await receiver.until(lambda: len(receiver.taken) == 1)
    workflows = [await ann.workflow(f"number {number}") for number in range(3)]
    await receiver.until(lambda: len(receiver.taken) == 1 + 6)
    for got in receiver.got:
        Webhook(made["secret"]).verify(got.body, got.headers)
    assert [got.event["subject"] for got in receiver.got[1::2]] == workflows
    while (await ann.get(where))["waiting"]:
        await asyncio.sleep(0.05)
    listed = await pages(ann, f"{where}/deliveries", state="delivered")
    assert [each["webhook_id"] for each in listed] == [got.id for got in reversed(receiver.got)]
    assert {each["answer"] for each in listed} == {"thanks"}

    await ann.post(f"{where}/deliveries/{listed[0]['id']}/replay")
    await receiver.until(lambda: len(receiver.taken) == 8)
    assert receiver.got[-1].id == listed[0]["webhook_id"]
    begun = await ann.post(f"{where}/replay", {"after": 0, "types": ["workflow.created.v1"]})
    assert begun["until"] > 0
    await receiver.until(lambda: len(receiver.taken) == 11)

    receiver.answer = lambda got: Reply(410)
    await ann.workflow("nobody wants to know")
    async with asyncio.timeout(30):
        while (shown := await ann.get(where))["active"]:
            await asyncio.sleep(0.05)
    assert (shown["disabled"], "410" in shown["notice"]) == ("gone", True)
    refused(await ann.ask("POST", f"{where}/replay", json={"after": 0}), 409)
    await ann.ask("PATCH", where, json={"active": True})
    assert (await ann.get(where))["notice"] is None
    refused(await ann.ask("POST", f"{where}/deliveries/{uuid4()}/replay"), 404)


async def pages(ann: Person, where: str, **asked: Any) -> list[dict[str, Any]]:
    """All entries, two a page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await ann.get(where, params={"limit": 2, **asked, **cursor})
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}
