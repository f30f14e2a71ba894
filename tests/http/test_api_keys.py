"""API keys at the door: what they open, what they do not, and that they are gone when they are gone."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.http.log import deeds
from tests.http.person import GRAPH, PASSWORD, Person
from tests.http.problems import refused
from tests.http.routes import table
from tests.http.whole import Whole

BODIES = {("DELETE", "/accounts/me"): {"password": PASSWORD}, ("PATCH", "/accounts/me"): {"bio": "Not me."}}


async def made(person: Person, *scopes: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await person.post("/api-keys", {"name": "bot", "scopes": list(scopes)} | more)
    return answer


async def by_key(person: Person, key: str, method: str, path: str, **more: Any) -> httpx.Response:
    """Asked by a program: without the person's access token."""
    headers = {"X-API-Key": key, "Authorization": ""} | more.pop("headers", {})
    person.http.headers.pop("Authorization", None)
    return await person.http.request(method, f"/api/v1{path}", headers=_without(headers), **more)


def _without(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value}


async def test_a_key_is_shown_once_and_kept_as_a_hash(served: Whole, ann: Person) -> None:
    key = await made(ann, "events", "read")
    assert key["key"].startswith("cpk_")
    (listed,) = (await ann.get("/api-keys"))["items"]
    assert (listed["id"], listed["scopes"], listed["used_at"]) == (key["id"], ["events", "read"], None)
    assert "key" not in listed
    with psycopg.connect(served.database.url) as connection:
        query = "SELECT api_keys::text FROM work.api_keys WHERE key = %s"
        row = connection.execute(query, (key["id"],)).fetchone()
        events = connection.execute(
            "SELECT encode(state, 'escape') FROM log.events WHERE originator_id = %s", (key["id"],)
        ).fetchall()
    assert row is not None
    assert key["key"] not in row[0]
    assert len(events) == 1
    assert "bot" not in events[0][0]
    assert key["key"] not in events[0][0]


async def test_the_same_request_sent_twice_makes_one_key(ann: Person) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await ann.post("/api-keys", {"name": "bot", "scopes": ["read"]}, headers=headers)
    again = await ann.post("/api-keys", {"name": "bot", "scopes": ["read"]}, headers=headers)
    assert first == again
    assert len((await ann.get("/api-keys"))["items"]) == 1
    other = await ann.ask("POST", "/api-keys", json={"name": "x", "scopes": ["read"]}, headers=headers)
    refused(other, 409)


async def test_a_reading_key_reads_and_a_writing_one_writes(ann: Person) -> None:
    workflow = await ann.workflow()
    read, write = (await made(ann, "read"))["key"], (await made(ann, "write"))["key"]
    body = {"name": "by a program", "graph": GRAPH}
    seen = {"Consistent-With": str(ann.seen)}
    shown = await by_key(ann, read, "GET", f"/workflows/{workflow}", headers=seen)
    assert shown.status_code == 200
    refused(await by_key(ann, read, "POST", "/workflows", json=body), 403)
    assert (await by_key(ann, write, "POST", "/workflows", json=body)).status_code == 201
    refused(await by_key(ann, write, "GET", "/runs"), 403)
    bearer = await ann.http.get("/api/v1/runs", headers={"Authorization": f"Bearer {read}"})
    assert bearer.status_code == 200


async def test_no_key_does_what_is_for_people(served: Whole, ann: Person) -> None:
    """Whatever its scopes: a stolen key must not make others, nor end the account."""
    key = (await made(ann, "read", "write", "events"))["key"]
    before = deeds(served)
    people = [
        (method, route)
        for method, route in table()
        if route.startswith(("/api-keys", "/admin", "/webhooks")) or route == "/accounts/me"
    ]
    assert ("POST", "/api-keys") in people
    assert ("DELETE", "/accounts/me") in people
    for method, route in people:
        path = re.sub(r"\{\w+:uuid\}", str(uuid4()), route)
        path = re.sub(r"\{\w+:\w+\}", "1", path)
        body = BODIES.get((method, route), {"name": "x", "scopes": ["read"]})
        answer = await by_key(ann, key, method, path, json=body)
        expected = (
            (403, 422) if route.startswith(("/admin", "/webhooks")) else (403,)
        )  # a body may be refused first
        assert answer.status_code in expected, f"{method} {path} answers {answer.status_code}: {answer.text}"
    assert deeds(served) == before


async def test_a_revoked_key_opens_nothing_at_once(ann: Person, bob: Person) -> None:
    key = await made(ann, "read")
    refused(await bob.ask("DELETE", f"/api-keys/{key['id']}"), 404)
    assert (await ann.ask("DELETE", f"/api-keys/{key['id']}")).status_code == 200
    assert (await ann.ask("DELETE", f"/api-keys/{key['id']}")).json()["position"] == 0
    assert (await ann.get("/api-keys"))["items"] == []
    refused(await by_key(ann, key["key"], "GET", "/runs"), 401)


async def test_an_expired_key_opens_nothing(ann: Person) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    key = (await made(ann, "read", expires_at=soon.isoformat()))["key"]
    assert (await by_key(ann, key, "GET", "/runs")).status_code == 200
    async with asyncio.timeout(10):
        while (answer := await by_key(ann, key, "GET", "/runs")).status_code == 200:
            await asyncio.sleep(0.05)
    refused(answer, 401)


@pytest.mark.parametrize("text", ["cpk_", "x", "cpk_" + "A" * 54, "cpk_" + "é" * 54, "cpk_" + "=" * 54])
async def test_an_invented_key_opens_nothing(nobody: Person, text: str) -> None:
    headers = {b"X-API-Key": text.encode()}
    refused(await nobody.http.get("/api/v1/runs", headers=headers), 401)


async def test_a_key_with_one_character_changed_opens_nothing(ann: Person) -> None:
    key = (await made(ann, "read"))["key"]
    for place in range(4, len(key)):
        other = "A" if key[place] != "A" else "B"
        refused(await by_key(ann, key[:place] + other + key[place + 1 :], "GET", "/runs"), 401)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "scopes": ["read"]},
        {"name": " " * 9, "scopes": ["read"]},
        {"name": "x" * 101, "scopes": ["read"]},
        {"name": "a\nb", "scopes": ["read"]},
        {"name": "bot", "scopes": []},
        {"name": "bot", "scopes": ["everything"]},
        {"name": "bot", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"},
        {"name": "bot", "scopes": ["read"], "expires_at": "2101-01-01T00:00:00"},
        {"name": "bot", "scopes": ["read"], "more": 1},
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_by_name(ann: Person, body: dict[str, Any]) -> None:
    problem = refused(await ann.ask("POST", "/api-keys", json=body), 422)
    assert problem["errors"]


async def test_only_administrators_make_keys_for_everything(ann: Person) -> None:
    refused(await ann.ask("POST", "/api-keys", json={"name": "x", "scopes": ["events:all"]}), 403)


async def test_an_account_has_a_bounded_number_of_keys(ann: Person) -> None:
    for _ in range(50):
        await made(ann, "read")
    refused(await ann.ask("POST", "/api-keys", json={"name": "x", "scopes": ["read"]}), 409)
