"""Submitting, watching and cancelling runs, and fetching what they produced."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID, uuid4

import pytest

from adapters.http import run_answers
from domain.ids import Digest, RunId
from tests.http.executor import ByHand, by_hand
from tests.http.person import GRAPH, Person, client
from tests.http.problems import refused
from tests.http.test_workflows import OTHER, paged, shaped
from tests.http.whole import Whole

PICTURE = b"\x89PNG\r\n\x1a\n not a whole picture, but bytes"


@pytest.fixture
async def hand(served: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(served) as executor:
        yield executor


async def until(person: Person, run: str, status: str) -> dict[str, object]:
    while (shown := dict(await person.get(f"/runs/{run}")))["status"] != status:
        assert shown["status"] in ("queued", "running"), shown
    return shown


async def test_a_run_is_accepted_with_addresses_that_answer(ann: Person) -> None:
    workflow = await ann.workflow()
    answer = await ann.ask("POST", f"/workflows/{workflow}/runs", json={"priority": 7})
    assert answer.status_code == 202
    accepted = answer.json()
    assert answer.headers["location"] == accepted["status_url"]
    headers = {"Consistent-With": str(accepted["position"])}
    shown = await ann.http.get(accepted["status_url"], headers=headers)
    shaped(run_answers.RunAnswer, shown.json())
    assert shown.json()["status"] == "queued"
    assert shown.json()["priority"] == 7
    assert (await ann.http.post(accepted["cancel_url"])).status_code == 202


async def test_a_run_without_a_body_takes_the_newest_version(ann: Person) -> None:
    workflow = await ann.workflow()
    await ann.post(f"/workflows/{workflow}/versions", {"graph": OTHER})
    run = (await ann.post(f"/workflows/{workflow}/runs"))["id"]
    assert (await ann.get(f"/runs/{run}"))["workflow_version"] == 2
    run = await ann.run(workflow, version=1)
    assert (await ann.get(f"/runs/{run}"))["workflow_version"] == 1
    refused(await ann.ask("POST", f"/workflows/{workflow}/runs", json={"version": 3}), 404)
    refused(await ann.ask("POST", f"/workflows/{workflow}/runs", json={"version": 10**30}), 404)


async def test_runs_are_listed_newest_first_and_by_status_and_workflow(ann: Person) -> None:
    one, other = await ann.workflow(), await ann.workflow("another")
    runs = [await ann.run(one), await ann.run(other), await ann.run(one)]
    await ann.post(f"/runs/{runs[0]}/cancel")
    page = await ann.get("/runs")
    shaped(run_answers.RunPage, page)
    assert [each["id"] for each in page["items"]] == runs[::-1]
    assert [each["id"] async for each in paged(ann, "/runs", 1)] == runs[::-1]
    queued = await ann.get("/runs", params={"status": "queued"})
    assert [each["id"] for each in queued["items"]] == runs[:0:-1]
    of_one = await ann.get("/runs", params={"workflow": one})
    assert [each["id"] for each in of_one["items"]] == [runs[2], runs[0]]
    refused(await ann.ask("GET", "/runs", params={"status": "lost"}), 422)
    refused(await ann.ask("GET", "/runs", params={"workflow": "x"}), 400)


async def test_a_cancelled_run_stays_cancelled(ann: Person) -> None:
    run = await ann.run(await ann.workflow())
    assert (await ann.post(f"/runs/{run}/cancel"))["position"] > 0
    assert (await ann.get(f"/runs/{run}"))["status"] == "cancelled"
    assert (await ann.post(f"/runs/{run}/cancel"))["position"] == 0
    topics = [each["topic"] for each in (await ann.get(f"/runs/{run}/history"))["items"]]
    assert topics == ["run.submitted.v1", "run.cancelled.v1"]


async def test_a_run_that_is_over_cannot_be_cancelled(ann: Person, hand: ByHand) -> None:
    run = await ann.run(await ann.workflow())
    await hand.fail(await hand.claim(run))
    shown = await until(ann, run, "failed")
    shaped(run_answers.RunAnswer, shown)
    assert shown["failure"] == {
        "kind": "node",
        "reason": "It was told to fail.",
        "node": "2",
        "node_class": None,
        "advice": "",
    }
    assert "already failed" in refused(await ann.ask("POST", f"/runs/{run}/cancel"), 409)["detail"]


async def test_with_no_comfyui_a_run_waits_and_says_so(ann: Person, hand: ByHand) -> None:
    await hand.beat(live=False)
    run = await ann.run(await ann.workflow())
    while "waiting_for" not in (shown := await ann.get(f"/runs/{run}")):
        assert shown["status"] == "queued"
    assert "No ComfyUI" in shown["waiting_for"]
    await hand.beat()
    while "waiting_for" in (shown := await ann.get(f"/runs/{run}")):
        assert shown["status"] == "queued"
    claimed = await hand.claim(run)
    await hand.start(claimed)
    await until(ann, run, "running")
    await hand.fail(claimed)


async def done(ann: Person, hand: ByHand, *names: str) -> dict[str, object]:
    run = await ann.run(await ann.workflow())
    claimed = await hand.claim(run)
    await hand.start(claimed)
    for index, name in enumerate(names):
        await hand.store(claimed, PICTURE + name.encode(), index=index, name=name)
    await hand.succeed(claimed)
    return await until(ann, run, "succeeded")


async def test_outputs_are_fetched_by_addresses_that_need_no_token(ann: Person, hand: ByHand) -> None:
    shown = await done(ann, hand, "a.png", "b c/ü\r\nX: y.png")
    shaped(run_answers.RunAnswer, shown)
    assert shown["execution_s"] == 0.25
    for output in shown["outputs"]:  # type: ignore[attr-defined]
        async with client() as anybody:
            fetched = await anybody.get(output["url"])
            small = await anybody.get(output["thumbnails"][0]["url"])
            head = await anybody.head(output["url"])
        assert fetched.content == PICTURE + output["name"].encode()
        assert fetched.headers["content-type"] == "image/png"
        assert fetched.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in fetched.headers["content-security-policy"]
        assert fetched.headers["content-disposition"].startswith("inline")
        assert "immutable" in fetched.headers["cache-control"]
        assert "x" not in fetched.headers
        assert small.content == b"small " + fetched.content
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(fetched.content))


async def test_an_address_that_was_changed_leads_nowhere(ann: Person, hand: ByHand, served: Whole) -> None:
    shown, other = await done(ann, hand, "a.png"), await done(ann, hand, "b.png")
    (output,), (another,) = shown["outputs"], other["outputs"]  # type: ignore[misc]
    url = urlsplit(output["url"])
    query = dict(parse_qsl(url.query))
    past = served.secrets.object_signature(RunId(UUID(str(shown["id"]))), Digest(output["digest"]), 1_000)
    small = output["thumbnails"][0]["digest"]
    wrong = [
        (url.path, {}),
        (url.path, query | {"signature": ""}),
        (url.path, query | {"signature": query["signature"][:-1]}),
        (url.path, query | {"signature": "ü\x00" + query["signature"]}),
        (url.path, query | {"expires": str(int(query["expires"]) + 1)}),
        (url.path, query | {"expires": "1000", "signature": past}),
        (url.path, query | {"expires": "-1"}),
        (url.path, query | {"expires": "9" * 40}),
        (url.path.replace(str(shown["id"]), str(other["id"])), query),
        (url.path.replace(str(shown["id"]), str(uuid4())), query),
        (url.path.replace(output["digest"], another["digest"]), query),
        (url.path.replace(output["digest"], small), query),
        (url.path.replace(output["digest"], output["digest"].upper()), query),
        (url.path.replace(output["digest"], ".."), query),
        (url.path.replace(output["digest"], "%2e%2e%2f" + "a" * 60), query),
    ]
    for path, asked in wrong:
        address = urlunsplit(url._replace(path=path, query=urlencode(asked)))
        async with client() as anybody:
            refused(await anybody.get(address), 404)
    garbage = urlunsplit(url._replace(query=urlencode(query | {"expires": "soon"})))
    async with client() as anybody:
        refused(await anybody.get(garbage), 400)


async def test_what_is_no_picture_is_never_shown_as_a_page(ann: Person, hand: ByHand) -> None:
    shown = await done(ann, hand, "page.html")
    (output,) = shown["outputs"]  # type: ignore[misc]
    for media_type in ("text/html", "image/svg+xml", "image/png%0d%0aX-Evil:%201"):
        address = output["url"].rpartition("&media_type=")[0] + f"&media_type={media_type}"
        async with client() as anybody:
            fetched = await anybody.get(address)
        assert fetched.headers["content-type"] == "application/octet-stream"
        assert fetched.headers["content-disposition"].startswith("attachment")
        assert "x-evil" not in fetched.headers


async def test_the_history_of_a_run_names_who_did_what(ann: Person, hand: ByHand) -> None:
    shown = await done(ann, hand, "a.png")
    entries = (await ann.get(f"/runs/{shown['id']}/history"))["items"]
    assert [each["topic"].split(".")[1] for each in entries] == [
        "submitted",
        "claimed",
        "started",
        "output_stored",
        "succeeded",
    ]
    assert entries[0]["actor"] == ann.id
    assert entries[2]["actor"] == "executor:gpu-1"


async def test_a_workflow_of_others_runs_while_it_is_public(ann: Person, bob: Person) -> None:
    workflow = await ann.workflow()
    refused(await bob.ask("POST", f"/workflows/{workflow}/runs"), 404)
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True})
    run = await bob.run(workflow)
    assert (await bob.get(f"/runs/{run}"))["workflow"] == workflow
    refused(await ann.ask("GET", f"/runs/{run}"), 404)
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": False})
    refused(await bob.ask("POST", f"/workflows/{workflow}/runs"), 404)
    assert (await bob.get(f"/runs/{run}"))["status"] == "queued"
    await bob.post(f"/runs/{run}/cancel")


async def test_graphs_travel_unchanged(ann: Person) -> None:
    strange = {
        "7:3": {"class_type": "Größe ✓", "inputs": {"a": 1e-7, "b": -0.0, "c": 2**63, "d": None, "e": True}},
        "🙂": {
            "class_type": "x",
            "inputs": {"text": '\u2028 \u0001 \U0010ffff "\\/', "list": {"__value__": [1]}},
        },
    } | GRAPH
    workflow = await ann.workflow(graph=strange)
    assert (await ann.get(f"/workflows/{workflow}"))["graph"] == strange
