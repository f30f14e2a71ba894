"""Things as they were, and what differs between two versions."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from adapters.http import past, run_answers, workflow_answers
from domain.account import Role
from tests.http.administrators import administrator, give
from tests.http.executor import by_hand
from tests.http.person import GRAPH, Person, joined
from tests.http.problems import refused
from tests.http.test_workflows import OTHER, shaped
from tests.http.whole import Whole

TIMES = {"created_at", "updated_at", "submitted_at", "started_at", "ended_at", "not_before"}
RED: dict[str, Any] = GRAPH | {
    "1": {"class_type": "EmptyImage", "inputs": GRAPH["1"]["inputs"] | {"color": 9}}
}
NO_MOMENTS = [
    "",
    " ",
    "-1",
    "1.5",
    "9" * 30,
    "x3",
    "v",
    "v-1",
    "v1.0",
    "٣",
    "v٣",
    "2026-11-21",
    "2026-11-21T12:00:00",
    "2026-13-41T12:00:00Z",
    "2026-11-21T25:00:00Z",
    "2026-11-21T12:00:00+99:99",
    "0000-01-01T00:00:00Z",
    "now",
    "\x00",
    "1;DROP TABLE log.events",
    "v" + "9" * 5000,
]

OF_OTHERS = {"likes", "liked", "runs", "comments", "thumbnails"}  # the last: pictures of the past may be gone


@pytest.fixture
async def root(served: Whole) -> AsyncIterator[Person]:
    async with administrator(served) as person:
        yield person


def comparable(content: dict[str, Any]) -> dict[str, Any]:
    """Times are written in two ways, and what others make of it is told of today only."""
    read = {name: datetime.fromisoformat(value) for name, value in content.items() if name in TIMES and value}
    files = [
        {name: value for name, value in each.items() if name not in ("url", "thumbnails")}
        for each in content.get("outputs", ())
    ]
    lasting = {name: value for name, value in content.items() if name not in OF_OTHERS}
    return lasting | read | {"outputs": files, "waiting_for": None}


async def test_a_workflow_is_shown_as_it_was_after_each_of_its_events(ann: Person) -> None:
    workflow = await ann.workflow(tags=["one"], public=True)
    seen = {ann.seen: await ann.get(f"/workflows/{workflow}")}

    async def look() -> None:
        seen[ann.seen] = await ann.get(f"/workflows/{workflow}")

    for change in (
        {"name": "New"},
        {"description": "Soft."},
        {"tags": []},
        {"public": False},
        {"public": True},
    ):
        await ann.ask("PATCH", f"/workflows/{workflow}", json=change)
        await look()
    await ann.post(f"/workflows/{workflow}/versions", {"graph": OTHER, "note": "more"})
    await look()
    await ann.post(f"/workflows/{workflow}/versions/1/restore")
    await look()
    for position, then in seen.items():
        found = await ann.get(f"/workflows/{workflow}", params={"as_of": str(position)})
        shaped(workflow_answers.WorkflowAnswer, found)
        assert comparable(found) == comparable(then)
        by_time = await ann.get(f"/workflows/{workflow}", params={"as_of": then["updated_at"]})
        assert by_time == found
    assert await ann.get(f"/workflows/{workflow}", params={"as_of": "9" * 18}) == found
    for number, graph in ((1, GRAPH), (2, OTHER), (3, GRAPH)):
        found = await ann.get(f"/workflows/{workflow}", params={"as_of": f"v{number}"})
        assert (found["version"], found["graph"]) == (number, graph)
    answer = await ann.ask("GET", f"/workflows/{workflow}?as_of=v2")
    stale = {"If-Match": answer.headers["etag"]}
    refused(await ann.ask("PATCH", f"/workflows/{workflow}", json={"name": "x"}, headers=stale), 412)


async def test_before_it_existed_there_was_nothing(ann: Person) -> None:
    workflow = await ann.workflow()
    created = datetime.fromisoformat((await ann.get(f"/workflows/{workflow}"))["created_at"])
    before = (created - timedelta(microseconds=1)).isoformat()
    run = await ann.run(workflow)
    for path in (f"/workflows/{workflow}", f"/runs/{run}"):
        for moment in ("0", "1", before, before.replace("+", " "), "v0", "v9", "1999-12-31t23:59:59.5z"):
            refused(await ann.ask("GET", path, params={"as_of": moment}), 404)
    first = ann.seen - 1  # its creation without its first version, which came in the same breath
    refused(await ann.ask("GET", f"/workflows/{workflow}", params={"as_of": str(first - 1)}), 404)


async def test_the_time_may_be_told_in_any_zone(ann: Person) -> None:
    workflow = await ann.workflow()
    shown = await ann.get(f"/workflows/{workflow}")
    at = datetime.fromisoformat(shown["created_at"])
    for moment in (
        at.isoformat(),
        at.isoformat().replace("+00:00", "Z"),
        (at + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00"),
        (at - timedelta(hours=5)).isoformat().replace("+00:00", "-05:00"),
    ):
        assert (await ann.get(f"/workflows/{workflow}", params={"as_of": moment}))["id"] == workflow
    unquoted = (at + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00")
    assert (await ann.get(f"/workflows/{workflow}?as_of={unquoted}"))["id"] == workflow


@pytest.mark.parametrize("moment", NO_MOMENTS)
async def test_what_is_no_moment_is_refused(root: Person, moment: str) -> None:
    workflow = await root.workflow()
    run = await root.run(workflow)
    for path in (f"/workflows/{workflow}", f"/runs/{run}", f"/admin/accounts/{root.id}"):
        problem = refused(await root.ask("GET", path, params={"as_of": moment}), 422)
        assert [error["field"] for error in problem["errors"]] == ["as_of"]


async def test_a_stranger_looks_back_at_what_was_public_and_is(
    ann: Person, bob: Person, nobody: Person
) -> None:
    workflow = await ann.workflow("secret name")
    private = ann.seen
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True, "name": "shown name"})
    public = ann.seen
    path = f"/workflows/{workflow}"
    for person in (bob, nobody):
        refused(await person.ask("GET", path, params={"as_of": str(private)}), 404)
        assert (await person.get(path, params={"as_of": str(public)}))["name"] == "shown name"
    await ann.ask("PATCH", path, json={"public": False})
    for person in (bob, nobody):
        unknown = await person.ask("GET", f"/workflows/{uuid4()}", params={"as_of": str(public)})
        for moment in (str(public), str(private), "v1", "v7"):
            answer = await person.ask("GET", path, params={"as_of": moment})
            assert refused(answer, 404) == refused(unknown, 404)
    assert (await ann.get(path, params={"as_of": str(private)}))["name"] == "secret name"


async def test_a_deleted_workflow_has_a_past_for_its_owner_only(ann: Person, bob: Person) -> None:
    workflow = await ann.workflow(public=True)
    before = ann.seen
    await ann.ask("DELETE", f"/workflows/{workflow}")
    path = f"/workflows/{workflow}"
    assert (await ann.get(path, params={"as_of": str(before)}))["graph"] == GRAPH
    refused(await ann.ask("GET", path, params={"as_of": str(ann.seen + 1)}), 404)
    refused(await bob.ask("GET", path, params={"as_of": str(before)}), 404)


async def test_a_run_is_shown_as_it_was_after_each_of_its_events(
    served: Whole, ann: Person, bob: Person
) -> None:
    run = await ann.run(await ann.workflow())
    async with by_hand(served) as hand:
        claimed = await hand.claim(run)
        await hand.store(claimed, b"a picture")
        await hand.fail(claimed)
    history = (await ann.get(f"/runs/{run}/history"))["items"]
    statuses = {}
    for event in history:
        then = await ann.get(f"/runs/{run}", params={"as_of": str(event["position"])})
        shaped(run_answers.RunAnswer, then)
        assert then == await ann.get(f"/runs/{run}", params={"as_of": f"v{event['version']}"})
        assert then["position"] == event["position"]
        statuses[event["topic"]] = (then["status"], len(then["outputs"]))
    assert statuses["run.submitted.v1"] == ("queued", 0)
    assert statuses["run.output_stored.v1"][1] == 1
    assert statuses["run.failed.v1"] == ("failed", 0)
    now = await ann.get(f"/runs/{run}")
    assert comparable(await ann.get(f"/runs/{run}", params={"as_of": "9" * 18})) == comparable(now)
    stranger = await bob.ask("GET", f"/runs/{run}", params={"as_of": str(now["position"])})
    unknown = await bob.ask("GET", f"/runs/{uuid4()}", params={"as_of": str(now["position"])})
    assert refused(stranger, 404) == refused(unknown, 404)


async def test_an_administrator_sees_an_account_as_it_was(served: Whole, root: Person, ann: Person) -> None:
    joined_at = await root.get(f"/admin/accounts/{ann.id}")
    shaped(past.AccountAnswer, joined_at)
    assert (joined_at["username"], joined_at["role"], joined_at["sessions"]) == (ann.name, "member", 1)
    await give(served, ann, Role.ADMIN)
    await ann.log_in()
    now = await root.get(f"/admin/accounts/{ann.id}")
    assert (now["role"], now["sessions"], now["revision"]) == ("admin", 2, 4)
    assert await root.get(f"/admin/accounts/{ann.id}", params={"as_of": "v2"}) == joined_at
    assert (
        await root.get(f"/admin/accounts/{ann.id}", params={"as_of": str(joined_at["position"])}) == joined_at
    )
    assert await root.get(f"/admin/accounts/{ann.id}", params={"as_of": joined_at["updated_at"]}) == joined_at
    first = await root.get(f"/admin/accounts/{ann.id}", params={"as_of": "v1"})
    assert (first["sessions"], first["registered_at"]) == (0, joined_at["registered_at"])
    workflow = await root.workflow()
    for id, moment in ((ann.id, "1"), (ann.id, "v5"), (str(uuid4()), "v1"), (workflow, "v1")):
        refused(await root.ask("GET", f"/admin/accounts/{id}", params={"as_of": moment}), 404)


async def test_only_administrators_look_at_accounts(root: Person, bob: Person, nobody: Person) -> None:
    refused(await bob.ask("GET", f"/admin/accounts/{bob.id}"), 403)
    refused(await bob.ask("GET", f"/admin/accounts/{root.id}?as_of=v1"), 403)
    refused(await nobody.ask("GET", f"/admin/accounts/{root.id}?as_of=v1"), 401)


async def test_two_versions_are_compared(ann: Person, bob: Person) -> None:
    workflow = await ann.workflow()
    path = f"/workflows/{workflow}/versions"
    await ann.post(path, {"graph": OTHER})
    await ann.post(path, {"graph": RED})
    more = await ann.get(f"{path}/1/diff/2")
    shaped(past.DiffAnswer, more)
    assert [each["id"] for each in more["added"]] == ["3"]
    assert more["added"][0]["inputs"]["width"] == {"value": 64}
    assert (more["same"], more["removed"], more["changed"]) == (False, [], [])
    back = await ann.get(f"{path}/2/diff/1")
    assert back["removed"] == [{"id": "3", "class_type": "EmptyImage"}]
    colour = await ann.get(f"{path}/1/diff/3")
    assert colour["changed"][0]["inputs"] == [
        {"input": "color", "before": {"value": 255}, "after": {"value": 9}, "rewired": False}
    ]
    same = await ann.get(f"{path}/1/diff/1")
    assert same["same"] is True
    for wrong in ("1/diff/4", "4/diff/1", "0/diff/1", f"1/diff/{'9' * 30}"):
        refused(await ann.ask("GET", f"{path}/{wrong}"), 404)
    refused(await bob.ask("GET", f"{path}/1/diff/2"), 404)
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True})
    assert await bob.get(f"{path}/1/diff/2") == more


async def test_a_difference_can_be_read_by_people(ann: Person) -> None:
    workflow = await ann.workflow()
    await ann.post(f"/workflows/{workflow}/versions", {"graph": RED})

    async def asked(accept: str, wanted: str = "1/diff/2") -> tuple[str, str]:
        answer = await ann.ask("GET", f"/workflows/{workflow}/versions/{wanted}", headers={"Accept": accept})
        assert answer.status_code == 200
        assert answer.headers["vary"] == "Accept"
        return answer.headers["content-type"].partition(";")[0], answer.text

    assert await asked("text/plain") == ("text/plain", "~ 1 EmptyImage: color 255 -> 9\n")
    assert (await asked("text/plain", "1/diff/1"))[1] == "There is no difference.\n"
    assert (await asked("text/plain;q=0.9, application/json;q=0.1"))[0] == "text/plain"
    for accept in (
        "*/*",
        "application/json",
        "image/png",
        "",
        "x",
        "text/plain;q=x",
        ";;,,/",
        "application/*",
    ):
        assert (await asked(accept))[0] in ("application/json", "text/plain")
    assert (await asked("*/*"))[0] == "application/json"


async def test_nobody_else_sees_a_run_of_before_even_of_a_public_workflow(served: Whole, ann: Person) -> None:
    workflow = await ann.workflow(public=True)
    async with joined(served) as guest:
        run = await guest.run(workflow)
        refused(await ann.ask("GET", f"/runs/{run}", params={"as_of": "9" * 18}), 404)
