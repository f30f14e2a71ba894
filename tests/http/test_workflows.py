"""Keeping workflows over HTTP."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from adapters.http import answers, workflow_answers
from tests.http.person import GRAPH, Person
from tests.http.problems import refused
from tests.http.whole import Whole, another_api

OTHER: dict[str, Any] = GRAPH | {"3": GRAPH["1"]}
EDITOR = {"nodes": [], "links": [], "version": 0.4}


def shaped(kind: Any, content: Any) -> None:
    """What is answered is what the description promises, no field more or less."""
    strict = msgspec.defstruct(f"Strict{kind.__name__}", [], bases=(kind,), forbid_unknown_fields=True)
    msgspec.convert(content, strict)
    msgspec.json.decode(msgspec.json.encode(content), type=strict)


async def test_a_stored_workflow_is_shown_as_it_was_given(ann: Person) -> None:
    more = {"description": "Two\nlines", "tags": ["Blue", " test "], "editor_graph": EDITOR, "public": True}
    answer = await ann.ask("POST", "/workflows", json={"name": " Ünïcode ✓ 🙂 ", "graph": GRAPH} | more)
    assert answer.status_code == 201
    saved = answer.json()
    assert saved["version"] == 1
    assert answer.headers["location"] == saved["url"]
    shown = (await ann.http.get(saved["url"], headers={"Consistent-With": str(saved["position"])})).json()
    shaped(workflow_answers.WorkflowAnswer, shown)
    assert shown["name"] == "Ünïcode ✓ 🙂"
    assert shown["graph"] == GRAPH
    assert shown["editor_graph"] == EDITOR
    assert shown["description"] == "Two\nlines"
    assert shown["tags"] == ["blue", "test"]
    assert shown["public"] is True
    assert shown["requirements"]["node_classes"] == ["EmptyImage", "SaveImage"]
    for page, kind in (
        ("/workflows", workflow_answers.WorkflowPage),
        ("/gallery", workflow_answers.GalleryPage),
    ):
        found = await ann.get(page)
        shaped(kind, found)
        assert saved["id"] in [each["id"] for each in found["items"]]


async def test_versions_are_added_and_never_changed(ann: Person) -> None:
    workflow = await ann.workflow()
    answer = await ann.ask("POST", f"/workflows/{workflow}/versions", json={"graph": OTHER, "note": "more"})
    assert (answer.status_code, answer.json()["version"]) == (201, 2)
    assert answer.headers["location"].endswith(f"/workflows/{workflow}/versions/2")
    again = await ann.post(f"/workflows/{workflow}/versions", {"graph": OTHER, "note": "the same"})
    assert (again["version"], again["position"]) == (2, 0)
    page = await ann.get(f"/workflows/{workflow}/versions")
    shaped(workflow_answers.VersionPage, page)
    assert [(each["number"], each["note"]) for each in page["items"]] == [(2, "more"), (1, "")]
    first = await ann.get(f"/workflows/{workflow}/versions/1")
    shaped(workflow_answers.VersionAnswer, first)
    assert first["graph"] == GRAPH
    assert (await ann.get(f"/workflows/{workflow}"))["graph"] == OTHER


async def test_a_version_is_restored_as_a_new_one(ann: Person) -> None:
    workflow = await ann.workflow()
    await ann.post(f"/workflows/{workflow}/versions", {"graph": OTHER})
    answer = await ann.ask("POST", f"/workflows/{workflow}/versions/1/restore", json={"note": "as it was"})
    assert (answer.status_code, answer.json()["version"]) == (201, 3)
    assert answer.headers["location"].endswith(f"/workflows/{workflow}/versions/3")
    shown = await ann.get(f"/workflows/{workflow}/versions/3")
    shaped(workflow_answers.VersionAnswer, shown)
    assert (shown["graph"], shown["restored_from"], shown["note"]) == (GRAPH, 1, "as it was")
    whole = await ann.get(f"/workflows/{workflow}")
    assert (whole["version"], whole["graph"], whole["restored_from"]) == (3, GRAPH, 1)
    page = await ann.get(f"/workflows/{workflow}/versions")
    assert [each["restored_from"] for each in page["items"]] == [1, None, None]
    history = await ann.get(f"/workflows/{workflow}/history")
    assert history["items"][-1]["data"]["restored_from"] == 1
    again = await ann.post(f"/workflows/{workflow}/versions/1/restore")
    assert (again["version"], again["position"]) == (3, 0)
    etag = {"If-Match": '"1"'}
    refused(await ann.ask("POST", f"/workflows/{workflow}/versions/2/restore", headers=etag), 412)
    for number in ("0", "4", "9" * 18):
        refused(await ann.ask("POST", f"/workflows/{workflow}/versions/{number}/restore"), 404)


@pytest.mark.parametrize("number", ["0", "3", "9" * 18, "9" * 30, "9" * 5000, "-1"])
async def test_there_is_no_other_version(ann: Person, number: str) -> None:
    workflow = await ann.workflow()
    refused(await ann.ask("GET", f"/workflows/{workflow}/versions/{number}"), 404)


async def test_a_change_touches_what_it_names_and_all_of_it_or_nothing(ann: Person) -> None:
    workflow = await ann.workflow(description="first", tags=["one"])
    patched = await ann.ask("PATCH", f"/workflows/{workflow}", json={"name": "New"})
    assert patched.json()["position"] == ann.seen
    shown = await ann.get(f"/workflows/{workflow}")
    assert (shown["name"], shown["description"], shown["tags"]) == ("New", "first", ["one"])
    bad = await ann.ask("PATCH", f"/workflows/{workflow}", json={"name": "Newer", "tags": [""]})
    assert refused(bad, 422)["errors"][0]["field"] == "tags"
    assert (await ann.get(f"/workflows/{workflow}"))["name"] == "New"
    nothing = await ann.ask("PATCH", f"/workflows/{workflow}", json={"name": "New"})
    assert nothing.json() == {"position": 0}
    for value in (None, 1, [], {}):
        refused(await ann.ask("PATCH", f"/workflows/{workflow}", json={"name": value}), 422)


async def test_published_shows_in_the_gallery_and_withdrawn_does_not(ann: Person, nobody: Person) -> None:
    workflow = await ann.workflow("For all")

    async def in_gallery() -> bool:
        return workflow in [each["id"] for each in (await nobody.get("/gallery"))["items"]]

    assert not await in_gallery()
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True})
    assert await in_gallery()
    assert (await nobody.get(f"/workflows/{workflow}"))["graph"] == GRAPH
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": False})
    assert not await in_gallery()
    refused(await nobody.ask("GET", f"/workflows/{workflow}"), 404)


async def test_a_deleted_workflow_is_gone_and_its_history_is_not(ann: Person) -> None:
    workflow = await ann.workflow(public=True)
    assert (await ann.ask("DELETE", f"/workflows/{workflow}")).json()["position"] > 0
    assert (await ann.ask("DELETE", f"/workflows/{workflow}")).json() == {"position": 0}
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/versions", None),
        ("GET", "/versions/1", None),
        ("PATCH", "", {"name": "x"}),
        ("POST", "/versions", {"graph": OTHER}),
        ("POST", "/runs", {}),
    ):
        refused(await ann.ask(method, f"/workflows/{workflow}{path}", json=body), 404)
    history = await ann.get(f"/workflows/{workflow}/history")
    assert [each["topic"] for each in history["items"][-2:]] == [
        "workflow.withdrawn.v1",
        "workflow.trashed.v1",
    ]
    assert workflow not in (await ann.ask("GET", "/gallery")).text


async def test_the_history_tells_everything_in_order(ann: Person) -> None:
    workflow = await ann.workflow()
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"name": "Renamed", "public": True})
    page = await ann.get(f"/workflows/{workflow}/history")
    shaped(answers.HistoryPage, page)
    assert [each["topic"] for each in page["items"]] == [
        "workflow.created.v1",
        "workflow.version_saved.v1",
        "workflow.renamed.v1",
        "workflow.published.v1",
    ]
    assert {each["actor"] for each in page["items"]} == {ann.id}
    assert [each["version"] for each in page["items"]] == [1, 2, 3, 4]
    first, second, *_ = page["items"]
    assert first["correlation"] == second["correlation"] != page["items"][2]["correlation"]
    pieces = [entry async for entry in paged(ann, f"/workflows/{workflow}/history", 1)]
    assert pieces == page["items"]
    beyond = page["items"][-1]["position"]
    empty = await ann.get(f"/workflows/{workflow}/history", params={"cursor": beyond})
    assert empty == {"items": [], "next_cursor": None}


async def paged(person: Person, path: str, limit: int) -> Any:
    cursor: str | None = None
    while True:
        asked = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = await person.get(path, params=asked)
        assert len(page["items"]) <= limit
        for entry in page["items"]:
            yield entry
        if (cursor := page["next_cursor"]) is None:
            return


async def test_pages_hold_everything_once_while_more_is_added(ann: Person) -> None:
    made = [await ann.workflow(f"number {number}") for number in range(5)]
    seen = []
    async for entry in paged(ann, "/workflows", 2):
        seen.append(entry["id"])
        if len(seen) == 2:
            await ann.workflow("added meanwhile")
    assert seen == made[::-1]


async def test_the_etag_is_the_revision_and_guards_changes(ann: Person) -> None:
    workflow = await ann.workflow()
    path = f"/workflows/{workflow}"

    async def etag() -> str:
        answer = await ann.ask("GET", path)
        assert answer.headers["etag"] == f'"{answer.json()["revision"]}"'
        return answer.headers["etag"]

    old = await etag()
    granted = await ann.ask("PATCH", path, json={"name": "Second"}, headers={"If-Match": old})
    assert granted.status_code == 200
    assert await etag() != old
    for method, below, body in (
        ("PATCH", "", {"name": "Third"}),
        ("POST", "/versions", {"graph": OTHER}),
        ("DELETE", "", None),
    ):
        for stale in (old, "garbage", '"1', '"' + "9" * 40 + '"', 'W/"1"', '"-1"', '"²"'.encode()):
            answer = await ann.ask(method, path + below, json=body, headers={"If-Match": stale})
            refused(answer, 412)
    assert (await ann.get(path))["name"] == "Second"
    assert (await ann.ask("PATCH", path, json={"name": "T"}, headers={"If-Match": "*"})).status_code == 200
    assert (await ann.ask("DELETE", path, headers={"If-Match": await etag()})).status_code == 200


async def test_of_those_who_save_at_once_one_wins_and_the_others_are_told(served: Whole, ann: Person) -> None:
    """Through two processes, each with a memory of its own."""
    workflow = await ann.workflow()
    path = f"/workflows/{workflow}"
    seen = (await ann.ask("GET", path)).headers["etag"]
    with another_api(served) as second:

        async def save(number: int, **headers: str) -> httpx.Response:
            url = (served, second)[number % 2].url
            body = {"graph": GRAPH | {"3": {"class_type": f"By{number}", "inputs": {}}}}
            return await ann.http.post(f"{url}/api/v1{path}/versions", json=body, headers=headers)

        asked = await asyncio.gather(*(save(number, **{"If-Match": seen}) for number in range(6)))
        assert sorted(answer.status_code for answer in asked) == [201, *[412] * 5]
        (won,) = [answer for answer in asked if answer.is_success]
        assert won.json()["version"] == 2
        for answer in asked:
            if answer is not won:
                refused(answer, 412)
        unasked = await asyncio.gather(*(save(number) for number in range(10, 14)))
        assert sorted(answer.json()["version"] for answer in unasked) == [3, 4, 5, 6]
        ann.seen = max(answer.json()["position"] for answer in unasked)
    versions = (await ann.get(f"{path}/versions"))["items"]
    assert [each["number"] for each in versions] == [6, 5, 4, 3, 2, 1]
    newest = await ann.get(f"{path}/versions/2")
    winner = asked.index(won)
    assert newest["graph"]["3"]["class_type"] == f"By{winner}"


async def test_a_stranger_learns_nothing_from_if_match(ann: Person, bob: Person) -> None:
    workflow = await ann.workflow()
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        answer = await bob.ask(method, f"/workflows/{workflow}", json=body, headers={"If-Match": '"7"'})
        refused(answer, 404)


async def test_every_time_is_iso_8601_in_utc(ann: Person) -> None:
    workflow = await ann.workflow(public=True)
    run = await ann.run(workflow)
    pages: list[httpx.Response] = [
        await ann.ask("GET", path)
        for path in (f"/workflows/{workflow}", f"/runs/{run}", "/gallery", f"/runs/{run}/history")
    ]
    for page in pages:
        content = page.json()
        entry = content["items"][0] if "items" in content else content
        for name in ("created_at", "updated_at", "published_at", "submitted_at", "at"):
            if name in entry:
                assert datetime.fromisoformat(entry[name]).utcoffset() == timedelta(0)


async def test_everything_wrong_with_the_texts_of_a_new_workflow_is_told_at_once(ann: Person) -> None:
    body = {"name": "x" * 201, "description": "\x1b", "tags": ["a" * 51], "graph": GRAPH}
    problem = refused(await ann.ask("POST", "/workflows", json=body), 422)
    assert [each["field"] for each in problem["errors"]] == ["name", "description", "tags"]
    problem = refused(await ann.ask("POST", "/workflows", json=body | {"description": "", "tags": []}), 422)
    assert problem["detail"] == "The name is missing or too long."
