"""Pictures from parameters, over HTTP: one, waited for, many, side by side, again, and put away."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from domain.outcome import Failure, FailureKind, NodeTime
from services.ports.messages import Lost, Started, Succeeded
from tests.http.executor import ByHand, by_hand
from tests.http.log import contents, deeds
from tests.http.person import GRAPH, PARAMETERS, Person
from tests.http.problems import refused
from tests.http.whole import Whole, another_api


async def finish(hand: ByHand, run: str, body: bytes = b"a picture") -> None:
    claimed = await hand.claim(run)
    await hand.start(claimed)
    await hand.store(claimed, body + run.encode())
    await hand.succeed(claimed)


async def test_a_run_shows_what_it_was_made_from(ann: Person) -> None:
    run = (await ann.post("/generate", PARAMETERS | {"steps": 3}))["id"]
    shown = await ann.get(f"/runs/{run}")
    assert (shown["workflow"], shown["workflow_version"], shown["status"]) == (None, None, "queued")
    source = shown["source"]
    assert source["kind"] == "parameters"
    assert source["seed"] == source["parameters"]["seed"] >= 0
    assert source["parameters"]["steps"] == 3
    past = await ann.get(f"/runs/{run}", params={"as_of": "v1"})
    assert past["source"] == source
    assert (await ann.get("/runs"))["items"][0]["source"] == {
        "kind": "parameters",
        "seed": source["seed"],
        "template": None,
        "version": None,
    }


async def test_the_largest_seed_is_kept_as_it_is(ann: Person) -> None:
    run = (await ann.post("/generate", PARAMETERS | {"seed": 2**64 - 1}))["id"]
    assert (await ann.get(f"/runs/{run}"))["source"]["seed"] == 2**64 - 1


async def test_everything_wrong_with_the_parameters_is_told_at_once(served: Whole, ann: Person) -> None:
    before = deeds(served), contents(served)
    problem = refused(
        await ann.ask("POST", "/generate", json={"checkpoint": "", "steps": 0, "cfg": "x", "odd": 1}), 422
    )
    assert [error["field"] for error in problem["errors"]] == ["odd", "checkpoint", "prompt", "steps", "cfg"]
    problem = refused(await ann.ask("POST", "/generate", json=PARAMETERS | {"width": 20, "seed": -7}), 422)
    assert [error["field"] for error in problem["errors"]] == ["width", "seed"]
    assert (deeds(served), contents(served)) == before


async def test_a_graph_is_run_without_a_workflow(ann: Person) -> None:
    run = (await ann.post("/runs", {"graph": GRAPH}))["id"]
    assert (await ann.get(f"/runs/{run}"))["source"]["kind"] == "graph"
    workflow = await ann.workflow()
    assert (await ann.get(f"/runs/{await ann.run(workflow)}"))["source"]["kind"] == "workflow"


async def test_who_waits_gets_the_pictures(served: Whole, ann: Person) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    waiting = asyncio.create_task(ann.ask("POST", "/generate/sync", json=PARAMETERS, headers=key))
    run = await waited_for(ann)
    async with by_hand(served) as hand:
        await finish(hand, run)
        answer = await waiting
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["id"], shown["status"]) == (run, "succeeded")
    assert (await ann.http.get(shown["outputs"][0]["url"])).content == b"a picture" + run.encode()
    assert shown["source"]["parameters"]["prompt"] == PARAMETERS["prompt"]
    again = await ann.ask("POST", "/generate/sync", json=PARAMETERS, headers=key)
    assert (again.status_code, again.json()["id"]) == (200, run)


async def test_who_has_waited_long_enough_is_told_where_to_look(ann: Person) -> None:
    answer = await ann.ask("POST", "/generate/sync", params={"wait_s": 0.2}, json=PARAMETERS)
    assert answer.status_code == 202
    assert (await ann.get(f"/runs/{answer.json()['id']}"))["status"] == "queued"
    assert answer.headers["location"] == answer.json()["status_url"]
    for wrong in (-1, 121, "x", "nan"):
        refused(await ann.ask("POST", "/generate/sync", params={"wait_s": wrong}, json=PARAMETERS), 400, 422)


async def test_who_hangs_up_cancels_nothing_and_may_ask_another_api(served: Whole, ann: Person) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    waiting = asyncio.create_task(ann.ask("POST", "/generate/sync", json=PARAMETERS, headers=key))
    run = await waited_for(ann)
    waiting.cancel()
    await asyncio.wait([waiting])
    with another_api(served) as second:
        ann.http.base_url = second.url
        waiting = asyncio.create_task(ann.ask("POST", "/generate/sync", json=PARAMETERS, headers=key))
        async with by_hand(served) as hand:
            await finish(hand, run)
            answer = await waiting
        ann.http.base_url = served.url
    assert (answer.status_code, answer.json()["id"]) == (200, run)


async def test_a_run_that_fails_is_an_answer_too(served: Whole, ann: Person) -> None:
    waiting = asyncio.create_task(ann.ask("POST", "/generate/sync", json=PARAMETERS))
    run = await waited_for(ann)
    async with by_hand(served) as hand:
        await hand.fail(await hand.claim(run))
        shown = (await waiting).json()
    assert (shown["status"], shown["failure"]["reason"]) == ("failed", "It was told to fail.")


async def waited_for(ann: Person) -> str:
    """The run that somebody is waiting for: it is there before its answer is."""
    async with asyncio.timeout(20):
        while not (items := (await ann.get("/runs", params={"status": "queued"}))["items"]):
            await asyncio.sleep(0.02)
    return str(items[0]["id"])


async def test_loras_are_compared_side_by_side(served: Whole, ann: Person) -> None:
    loras = [[], [{"name": "ink.safetensors"}]]
    body = {"parameters": PARAMETERS, "vary": {"loras": loras, "cfg": [5, 7]}}
    made = await ann.post("/generate/grid", body)
    assert len(made["runs"]) == 4
    async with by_hand(served) as hand:
        await finish(hand, made["runs"][0])
        await hand.fail(await hand.claim(made["runs"][1]))
        shown = await a_failure(ann, made["id"])
    assert [run["id"] for run in shown["runs"]] == made["runs"]
    assert shown["progress"] == {"queued": 2, "running": 0, "succeeded": 1, "failed": 1, "cancelled": 0}
    assert shown["runs"][2]["varied"] == {"loras": loras[1], "cfg": 5}
    assert len({run["source"]["seed"] for run in shown["runs"]}) == 1
    assert (await ann.http.get(shown["runs"][0]["outputs"][0]["url"])).status_code == 200
    assert shown["groups"][0] == {"parameter": "loras", "value": [], "runs": made["runs"][:2]}
    assert shown["groups"][3] == {
        "parameter": "cfg",
        "value": 7,
        "runs": [made["runs"][1], made["runs"][3]],
    }
    listed = (await ann.get("/batches"))["items"][0]
    assert (listed["id"], listed["total"], listed["progress"]) == (made["id"], 4, shown["progress"])
    assert (await ann.post(f"/batches/{made['id']}/cancel"))["position"] > 0
    shown = await ann.get(f"/batches/{made['id']}")
    assert shown["progress"]["cancelled"] == 2
    assert shown["cancelled_at"]


async def a_failure(ann: Person, batch: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while not (shown := await ann.get(f"/batches/{batch}"))["progress"]["failed"]:
            await asyncio.sleep(0.02)
    return dict(shown)


async def test_two_hundred_runs_are_one_batch_and_no_more(served: Whole, ann: Person) -> None:
    before = deeds(served)
    made = await ann.post("/generate/batch", {"runs": [PARAMETERS] * 200})
    assert deeds(served) == before + 201
    shown = await ann.get(f"/batches/{made['id']}")
    assert len({run["source"]["seed"] for run in shown["runs"]}) == 200
    for body in (
        {"runs": [PARAMETERS] * 201},
        {"runs": []},
        {"runs": [PARAMETERS, {"prompt": "x"}]},
    ):
        refused(await ann.ask("POST", "/generate/batch", json=body), 422)
    assert deeds(served) == before + 201
    await ann.post(f"/batches/{made['id']}/cancel")
    assert (await ann.get(f"/batches/{made['id']}"))["progress"]["cancelled"] == 200


@pytest.mark.parametrize("path", ["/generate", "/generate/batch", "/generate/grid", "/runs"])
async def test_of_many_repeats_one_has_an_effect(served: Whole, ann: Person, path: str) -> None:
    body: dict[str, Any] = {
        "/generate": PARAMETERS,
        "/generate/batch": {"runs": [PARAMETERS] * 3},
        "/generate/grid": {"parameters": PARAMETERS, "vary": {"seed": [-1, 5, -1]}},
        "/runs": {"graph": GRAPH},
    }[path]
    before, key = deeds(served), {"Idempotency-Key": uuid4().hex}
    answers = await asyncio.gather(*(ann.ask("POST", path, json=body, headers=key) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert deeds(served) - before == (4 if path in ("/generate/batch", "/generate/grid") else 1)
    refused(await ann.ask("POST", path, json=body | {"priority": 9}, headers=key), 409)


async def test_a_run_again_has_the_same_seed_or_another(ann: Person) -> None:
    first = (await ann.post("/generate", PARAMETERS))["id"]
    seed = (await ann.get(f"/runs/{first}"))["source"]["seed"]
    again = (await ann.post(f"/runs/{first}/rerun"))["id"]
    shown = await ann.get(f"/runs/{again}")
    assert (shown["source"]["seed"], shown["rerun_of"]) == (seed, first)
    other = (await ann.post(f"/runs/{first}/rerun", {"seed": 5, "parameters": {"steps": 2}}))["id"]
    shown = (await ann.get(f"/runs/{other}"))["source"]
    assert (shown["seed"], shown["parameters"]["steps"]) == (5, 2)
    problem = refused(await ann.ask("POST", f"/runs/{first}/rerun", json={"parameters": {"steps": 0}}), 422)
    assert problem["errors"][0]["field"] == "steps"


async def test_a_deleted_run_is_out_of_sight_and_its_history_stays(served: Whole, ann: Person) -> None:
    run = (await ann.post("/generate", PARAMETERS))["id"]
    refused(await ann.ask("DELETE", f"/runs/{run}"), 409)
    async with by_hand(served) as hand:
        await finish(hand, run)
    assert (await ann.ask("DELETE", f"/runs/{run}")).json()["position"] > 0
    refused(await ann.ask("GET", f"/runs/{run}"), 404)
    assert run not in (await ann.ask("GET", "/runs")).text
    for method, path in (("POST", f"/runs/{run}/cancel"), ("POST", f"/runs/{run}/rerun")):
        refused(await ann.ask(method, path), 404)
    topics = [each["topic"] for each in (await ann.get(f"/runs/{run}/history"))["items"]]
    assert (topics[0], topics[-1]) == ("run.submitted.v1", "run.deleted.v1")
    assert (await ann.ask("DELETE", f"/runs/{run}")).json()["position"] == 0
    before = await ann.get(f"/runs/{run}", params={"as_of": "v4"})
    assert before["outputs"]
    refused(await ann.ask("GET", f"/runs/{run}", params={"as_of": f"v{len(topics)}"}), 404)


async def test_a_day_tells_what_was_used(served: Whole, ann: Person, bob: Person) -> None:
    first = (await ann.post("/generate", PARAMETERS))["id"]
    second = (await ann.post("/generate", PARAMETERS))["id"]
    async with by_hand(served) as hand:
        claimed = await hand.claim(first)
        timed = (NodeTime("4", 0.2), NodeTime("5", 0.05))
        await hand.report(claimed, Started(), Succeeded(execution_s=0.25, nodes=timed))
        claimed = await hand.claim(second)
        failure = Failure(FailureKind.NODE, "It was told to fail.")
        await hand.report(claimed, Started(), Lost(failure=failure, execution_s=1.5))
        async with asyncio.timeout(20):
            while not (await ann.get("/usage"))["items"][0]["failed"]:
                await asyncio.sleep(0.02)
    (day,) = (await ann.get("/usage"))["items"]
    assert day.pop("day")
    assert day == {"submitted": 2, "succeeded": 1, "failed": 1, "cancelled": 0, "run_seconds": 1.75}
    shown = await ann.get(f"/runs/{first}")
    assert shown["nodes"] == [{"node": "4", "seconds": 0.2}, {"node": "5", "seconds": 0.05}]
    assert (shown["execution_s"], shown["backend"]) == (0.25, "gpu-1")
    assert (await bob.get("/usage"))["items"] == []
