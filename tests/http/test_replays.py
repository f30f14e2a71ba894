"""Administrators operate the read models over HTTP."""

import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from adapters.http import replays
from adapters.http.parked import ParkedPage, StoredAnswer
from infra.rebuilding import rebuilding
from projections.catalogue import PROJECTIONS
from projections.jobs import Job
from projections.operating import Overview
from tests.http.administrators import administrator
from tests.http.errands import errand, eventually
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside

UNREADABLE = """
INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id, recorded_at, actor,
    correlation)
SELECT gen_random_uuid(), 1, 'tomorrow.invented.v1', %s, max(notification_id) + 1, now(), 'tests', gen_random_uuid()
FROM log.events RETURNING notification_id
"""
SEALED = "SELECT log.seal_the_rest()"
STORED = b'{"topic":"tomorrow.invented.v1","x":"\xc3\xa9"}'


@pytest.fixture
async def root(served: Whole) -> AsyncIterator[Person]:
    async with administrator(served) as person:
        yield person


async def ended(root: Person, job: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def over() -> bool:
        nonlocal found
        found = await root.get(f"/admin/rebuilds/{job}")
        shaped(Job, found)
        return found["state"] not in ("asked", "running")

    await eventually(over)
    return found


async def test_read_models_are_listed(root: Person) -> None:
    async def built() -> bool:
        return bool((await root.get("/admin/projections/gallery"))["live"])

    await eventually(built)
    found = await root.get("/admin/projections")
    shaped(replays.Overviews, found)
    assert [each["name"] for each in found["items"]] == sorted(PROJECTIONS)
    one = await root.get("/admin/projections/gallery")
    shaped(Overview, one)
    assert (one["state"], one["live"]["state"]) == ("live", "live")
    assert one["live"]["size_bytes"] > 0
    refused(await root.ask("GET", "/admin/projections/nothing"), 404)
    refused(await root.ask("GET", "/admin/projections/%00"), 400, 404)


async def test_a_read_model_is_rebuilt_and_led_back(served: Whole, root: Person, ann: Person) -> None:
    await ann.workflow(public=True)
    before = (await root.get("/admin/projections/gallery"))["live"]["generation"]
    with beside(errand(lambda: rebuilding(served.settings))):
        answer = await root.ask("POST", "/admin/projections/gallery/rebuild")
        assert answer.status_code == 202
        done = await ended(root, answer.json()["id"])
        assert (done["state"], done["kind"], done["asked_by"]) == ("done", "rebuild", root.id)
        assert done["generation"] > before
        assert done["done"] == done["total"] > 0
        back = await ended(root, (await root.post("/admin/projections/gallery/rollback"))["id"])
        assert (back["state"], back["generation"]) == ("done", before)
        all_of_them = (await root.post("/admin/projections/rebuild"))["items"]
        assert [each["name"] for each in all_of_them] == list(PROJECTIONS)
        for each in all_of_them:
            assert (await ended(root, each["id"]))["state"] == "done"
    assert await ann.get("/gallery")
    listed = await root.get("/admin/rebuilds", params={"limit": 2})
    shaped(replays.JobPage, listed)
    assert len(listed["items"]) == 2


async def test_a_wish_waits_and_is_cancelled(root: Person) -> None:
    """Nobody works here: the door only writes down what is wanted."""
    key = {"Idempotency-Key": uuid4().hex}
    job = await root.post("/admin/projections/run_status/rebuild", headers=key)
    assert job["state"] == "asked"
    again = await root.ask("POST", "/admin/projections/run_status/rebuild", headers=key)
    assert (again.status_code, again.json()) == (202, job)
    refused(await root.ask("POST", "/admin/projections/run_status/rollback", headers=key), 409)
    busy = refused(await root.ask("POST", "/admin/projections/run_status/rebuild"), 409)
    assert job["id"] in busy["detail"]
    assert (await root.get("/admin/projections/run_status"))["job"] == job
    cancelled = await root.post(f"/admin/rebuilds/{job['id']}/cancel")
    assert cancelled["state"] == "cancelled"
    assert await root.post(f"/admin/rebuilds/{job['id']}/cancel") == cancelled
    for method, path in (("GET", ""), ("POST", "/cancel")):
        refused(await root.ask(method, f"/admin/rebuilds/{uuid4()}{path}"), 404)
    for wish in ("rebuild", "rollback"):
        refused(await root.ask("POST", f"/admin/projections/nothing/{wish}"), 404)


async def test_where_nothing_is_kept_there_is_no_way_back(own: Whole) -> None:
    async with administrator(own) as root:
        problem = refused(await root.ask("POST", "/admin/projections/gallery/rollback"), 409)
        assert "No earlier build of gallery" in problem["detail"]
        assert (await root.get("/admin/rebuilds"))["items"] == []


async def test_an_event_in_the_way_is_shown_and_left_out(own: Whole) -> None:
    async with administrator(own) as root:
        assert await root.get("/admin/parked") == {"items": []}
        with psycopg.connect(own.database.url) as owner:
            ((position,),) = owner.execute(UNREADABLE, (STORED,)).fetchall()
            owner.execute(SEALED)

        async def parked() -> bool:
            return bool((await root.get("/admin/parked"))["items"])

        await eventually(parked)
        page = await root.get("/admin/parked")
        shaped(ParkedPage, page)
        path = f"/admin/parked/audit_trail/{position}"
        shown = await root.get(path)
        shaped(StoredAnswer, shown)
        assert (base64.b64decode(shown["stored"]), shown["text"]) == (STORED, STORED.decode())
        assert (shown["topic"], shown["rebuild"]) == ("tomorrow.invented.v1", False)
        assert (await root.get("/admin/projections/audit_trail"))["state"] == "parked"
        assert (await root.ask("POST", f"{path}/retry")).status_code == 202
        for wrong in (f"/admin/parked/gallery/{position}", "/admin/parked/audit_trail/1"):
            refused(await root.ask("GET", wrong), 404)
            refused(await root.ask("POST", f"{wrong}/retry"), 404)
            refused(await root.ask("POST", f"{wrong}/skip", json={"reason": "x"}), 404)
        for body in ({"reason": ""}, {"reason": "x" * 3000}, {"reason": 1}, {}, {"reason": "x", "more": 1}):
            refused(await root.ask("POST", f"{path}/skip", json=body), 422)
        before, key = own.head(), {"Idempotency-Key": uuid4().hex}
        moved = await root.post(f"{path}/skip", {"reason": "A test's."}, headers=key)
        assert moved["position"] == before + 1
        assert await root.post(f"{path}/skip", {"reason": "A test's."}, headers=key) == moved
        workflow = await root.workflow()

        async def told() -> bool:  # it goes on; 503 until that is known
            answer = await root.ask("GET", f"/workflows/{workflow}/history")
            return answer.is_success and len(answer.json()["items"]) == 2

        await eventually(told)
        assert await root.get("/admin/parked") == {"items": []}
        live = (await root.get("/admin/projections/audit_trail"))["live"]
        assert (live["skipped"], live["parked_position"]) == ([position], None)
        path = f"/admin/projections/audit_trail/skipped/{position}/withdraw"
        assert (await root.post(path, {"reason": "Mended."}))["position"] > 0
        assert (await root.post(path, {"reason": "Mended."}))["position"] == 0
