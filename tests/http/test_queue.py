"""The queue at the door: where a run stands, how much there is, and steering it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from adapters.http import run_answers
from adapters.http.queue import DeadPage, StatsAnswer
from domain.outcome import Failure, FailureKind
from services.ports.messages import Lost, Started
from tests.http.administrators import administrator
from tests.http.executor import ByHand, by_hand
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.test_workflows import shaped
from tests.http.whole import Whole

PATIENCE_S = 20.0
NO_MACHINE = Failure(FailureKind.OUT_OF_MEMORY, "The card is too small.")
REASON = {"reason": "A test's."}


@pytest.fixture
async def hand(own: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(own) as executor:
        yield executor


@pytest.fixture
async def admin(own: Whole) -> AsyncIterator[Person]:
    async with administrator(own) as person:
        yield person


async def shown(person: Person, run: str, *names: str) -> dict[str, Any]:
    """A run, once it tells all of these."""
    async with asyncio.timeout(PATIENCE_S):
        while not set(names) <= (told := await person.get(f"/runs/{run}")).keys():
            await asyncio.sleep(0.02)
    return dict(told)


async def stats(person: Person, **expected: object) -> dict[str, Any]:
    """Once they are so."""
    async with asyncio.timeout(PATIENCE_S):
        while not expected.items() <= (told := await person.get("/queue/stats")).items():
            await asyncio.sleep(0.05)
    shaped(StatsAnswer, told)
    return dict(told)


async def test_a_waiting_run_tells_where_it_stands_and_when_it_begins(admin: Person, hand: ByHand) -> None:
    workflow = await admin.workflow()
    done = await hand.claim(await admin.run(workflow))
    await hand.start(done)
    await hand.succeed(done)
    runs = [await admin.run(workflow) for _ in range(3)]

    told = [await shown(admin, run, "queue_position", "eta_s") for run in runs]

    shaped(run_answers.RunAnswer, told[0])
    assert [each["queue_position"] for each in told] == [1, 2, 3]
    assert [each["eta_s"] for each in told] == [0.0, 0.2, 0.5]  # a run takes a quarter of a second here


async def test_a_paused_queue_takes_runs_in_and_says_why_they_wait(admin: Person, hand: ByHand) -> None:
    workflow = await admin.workflow()
    await admin.post("/admin/queue/pause", {"reason": "New cards."})
    assert (await admin.post("/admin/queue/pause", {"reason": "Again."}))["position"] == 0
    run = await admin.run(workflow)

    told = await shown(admin, run, "waiting_for", "queue_position")

    assert told["waiting_for"] == "The queue is paused: New cards."
    assert "eta_s" not in told
    assert (await stats(admin, paused=True, waiting=1))["active"] == 0
    await admin.post("/admin/queue/resume", {"reason": "They are in."})
    await hand.fail(await hand.claim(run))
    await stats(admin, paused=False, waiting=0, failed=1)


async def test_everybody_sees_how_much_there_is_and_nobody_whose(
    own: Whole, admin: Person, hand: ByHand
) -> None:
    workflow = await admin.workflow()
    runs = [await admin.run(workflow) for _ in range(3)]
    await hand.start(await hand.claim(runs[0]))
    await admin.post(f"/runs/{runs[2]}/cancel")

    told = await stats(admin, active=1, waiting=1, completed=0, cancelled=1)

    (pool,) = told["pools"]
    assert (pool["name"], pool["active"], pool["paused"]) == ("shared", 1, False)
    assert pool["oldest_wait_s"] == told["oldest_wait_s"] >= 0
    assert admin.id not in str(told)


async def test_what_failed_for_want_of_a_machine_is_put_back(admin: Person, hand: ByHand) -> None:
    run = await admin.run(await admin.workflow())
    for _ in range(2):  # once more elsewhere, then for good
        await hand.report(await hand.claim(run), Started(), Lost(failure=NO_MACHINE))
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await admin.get("/admin/dead-letters"))["items"]:
            await asyncio.sleep(0.02)
    shaped(DeadPage, found)
    (dead,) = found["items"]
    assert (dead["run"], dead["owner"], dead["attempts"]) == (run, admin.id, 2)
    assert dead["failure"]["reason"] == "The card is too small."

    await admin.post(f"/admin/dead-letters/{run}/requeue", {"reason": "A larger card."})
    claimed = await hand.claim(run)
    assert claimed.epoch == 3
    await hand.start(claimed)
    await hand.succeed(claimed)

    assert (await admin.get("/admin/dead-letters"))["items"] == []
    refused(await admin.ask("POST", f"/admin/dead-letters/{run}/requeue", json=REASON), 409)
    refused(await admin.ask("POST", f"/admin/dead-letters/{uuid4()}/requeue", json=REASON), 404)


async def test_dead_letters_come_in_pages(admin: Person, hand: ByHand) -> None:
    workflow = await admin.workflow()
    runs = []
    for _ in range(2):
        runs.append(await admin.run(workflow))
        for _ in range(2):
            await hand.report(await hand.claim(runs[-1]), Started(), Lost(failure=NO_MACHINE))
    await stats(admin, failed=2)
    first = await admin.get("/admin/dead-letters", params={"limit": 1})
    rest = await admin.get("/admin/dead-letters", params={"limit": 1, "cursor": first["next_cursor"]})

    assert [each["run"] for each in (*first["items"], *rest["items"])] == runs[::-1]
    assert rest["next_cursor"] is None


async def test_what_makes_no_sense_is_refused(admin: Person) -> None:
    account = f"/admin/accounts/{admin.id}/limits"
    for method, path, body, status in (
        ("POST", "/admin/queue/pause", {"reason": " "}, 422),
        ("POST", "/admin/queue/pause", {"reason": "So.", "pool": "a b"}, 422),
        ("POST", "/admin/queue/pause", {}, 422),
        ("POST", "/admin/queue/pause", {"reason": "So.", "pool": "unheard-of"}, 422),
        ("PUT", "/admin/pools/a%20b", REASON, 422),
        ("PUT", "/admin/pools/studio", {**REASON, "rank": 10_000}, 422),
        ("PUT", "/admin/pools/studio", {**REASON, "running": -1}, 422),
        ("PUT", account, {**REASON, "weight": 0}, 422),
        ("PUT", account, {**REASON, "weight": "NaN"}, 422),
        ("PUT", account, {**REASON, "queued": 10**12}, 422),
        ("PUT", account, {**REASON, "unknown": 1}, 422),
        ("PUT", f"/admin/accounts/{uuid4()}/limits", REASON | {"weight": 2.0}, 404),
        ("GET", "/admin/dead-letters?limit=0", None, 422),
        ("GET", "/admin/dead-letters?cursor=x", None, 422),
    ):
        refused(await admin.ask(method, path, json=body), status)


async def test_limits_of_an_account_stand_in_the_log(admin: Person) -> None:
    path, body = f"/admin/accounts/{admin.id}/limits", {"reason": "Agreed.", "weight": 2.0, "running": 3}
    first = (await admin.ask("PUT", path, json=body)).json()["position"]
    again = (await admin.ask("PUT", path, json=body)).json()["position"]

    assert first > 0
    assert again == 0


async def test_who_has_enough_waiting_is_told_to_come_back(own: Whole, admin: Person, hand: ByHand) -> None:
    workflow = await admin.workflow()
    path = f"/workflows/{workflow}/runs"
    free = await admin.ask("POST", path, json={})
    assert free.headers["ratelimit-policy"] == '"queued";q=1000'
    assert free.headers["ratelimit"] == '"queued";r=999'
    await hand.fail(await hand.claim(free.json()["id"]))
    limits = {"reason": "Agreed.", "queued": 2, "runs_per_day": 100}
    await admin.ask("PUT", f"/admin/accounts/{admin.id}/limits", json=limits)
    async with asyncio.timeout(PATIENCE_S):
        while '"runs-per-day"' not in (last := await admin.ask("POST", path, json={})).headers.get(
            "ratelimit", ""
        ):
            await admin.ask("POST", f"/runs/{last.json()['id']}/cancel")
            await asyncio.sleep(0.02)
    answers_ = [await admin.ask("POST", path, json={}) for _ in range(4)]
    codes = [each.status_code for each in answers_]

    assert codes[-1] == 429
    told = refused(answers_[-1], 429)
    assert "At most 2 of your runs may wait" in told["detail"]
    assert answers_[-1].headers["retry-after"] == "30"
    policies = answers_[-1].headers["ratelimit-policy"]
    assert policies == '"queued";q=2, "runs-per-day";q=100;w=86400'
    assert answers_[-1].headers["ratelimit"].startswith('"queued";r=0, "runs-per-day";r=')
