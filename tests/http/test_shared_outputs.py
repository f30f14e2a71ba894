"""Outputs in the gallery over HTTP."""

from typing import Any
from uuid import uuid4

from adapters.http.shared_outputs import MixedPage, OutputTagPage, SharedOutputAnswer, SharedOutputPage
from domain.account import Role
from infra.erasing import erasing
from tests.http.administrators import give
from tests.http.errands import drawn, errand, eventually, value
from tests.http.person import Person, joined, somebody
from tests.http.problems import refused
from tests.http.test_erasing import hasty
from tests.http.test_erasure import erased
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside


async def succeeded(whole: Whole, person: Person, body: bytes) -> dict[str, Any]:
    """What names the output of a run that is over."""
    run = await drawn(whole, person, body)

    async def over() -> bool:
        return bool((await person.get(f"/runs/{run}"))["status"] == "succeeded")

    await eventually(over)
    (output,) = (await person.get(f"/runs/{run}"))["outputs"]
    return {"run": run, "node": output["node"], "index": output["index"]}


async def found(person: Person, words: str, **asked: Any) -> list[dict[str, Any]]:
    page = await person.get("/gallery/outputs", params={"q": words, **asked})
    shaped(SharedOutputPage, page)
    items: list[dict[str, Any]] = page["items"]
    return items


async def test_an_output_is_shown_found_liked_and_withdrawn(
    served: Whole, ann: Person, bob: Person, nobody: Person
) -> None:
    place, word = await succeeded(served, ann, b"a fox"), uuid4().hex
    shown = {"name": f"Fox {word}", "description": "In the snow.", "tags": ["Fox"], "with_workflow": True}
    id = (await ann.post("/gallery/outputs", place | shown))["id"]
    assert (await ann.post("/gallery/outputs", place | shown))["position"] == 0
    bob.seen = nobody.seen = ann.seen
    assert (await bob.ask("PUT", f"/gallery/outputs/{id}/like")).json()["position"] > 0
    assert (await bob.ask("PUT", f"/gallery/outputs/{id}/like")).json()["position"] == 0
    ann.seen = nobody.seen = bob.seen
    for asked in ({}, {"tag": "fox"}, {"sort": "likes"}, {"sort": "trending"}):
        for person in (bob, nobody):
            (entry,) = await found(person, word, **asked)
            assert (entry["author"], entry["likes"], entry["liked"]) == (ann.name, 1, person is bob)
    assert "run" not in entry
    assert (await nobody.http.get(entry["file"]["url"].removeprefix(served.url))).content == b"a fox"
    whole = await nobody.get(f"/gallery/outputs/{id}")
    shaped(SharedOutputAnswer, whole)
    assert whole["graph"]["2"]["class_type"] == "SaveImage"
    await ann.post("/gallery/outputs", place | shown | {"sensitive": True, "with_workflow": False})
    nobody.seen = ann.seen
    assert await found(nobody, word) == []
    (entry,) = await found(nobody, word, sensitive=True)
    assert (entry["with_workflow"], entry["likes"]) == (False, 1)
    assert (await nobody.get(f"/gallery/outputs/{id}"))["graph"] is None
    assert len((await nobody.get(f"/accounts/{ann.name}/outputs"))["items"]) == 1
    refused(await bob.ask("DELETE", f"/gallery/outputs/{id}"), 404)
    assert (await ann.ask("DELETE", f"/gallery/outputs/{id}")).json()["position"] > 0
    nobody.seen = ann.seen
    assert await found(nobody, word, sensitive=True) == []
    refused(await nobody.ask("GET", f"/gallery/outputs/{id}"), 404)
    assert (await ann.get(f"/gallery/outputs/{id}"))["public"] is False
    assert (await bob.ask("DELETE", f"/gallery/outputs/{id}/like")).json()["position"] > 0


async def test_tags_of_shown_outputs_are_counted_and_their_owner_is_seen(
    served: Whole, ann: Person, nobody: Person
) -> None:
    tag, other = uuid4().hex, uuid4().hex
    ids = []
    refused(await nobody.ask("GET", f"/accounts/{ann.name}"), 404)  # nothing of ann's is shown
    for number in range(2):
        place = await succeeded(served, ann, f"a tagged fox {number}".encode())
        shown = place | {"name": "Fox", "tags": [tag]}
        ids.append((await ann.post("/gallery/outputs", shown))["id"])

    async def counts() -> dict[str, int]:
        nobody.seen = ann.seen
        page = await nobody.get("/gallery/outputs/tags", params={"limit": 200})
        shaped(OutputTagPage, page)
        return {each["tag"]: each["outputs"] for each in page["items"] if each["tag"] in (tag, other)}

    assert await counts() == {tag: 2}
    assert (await nobody.get(f"/accounts/{ann.name}"))["outputs"] == 2
    await ann.post("/gallery/outputs", shown | {"tags": [other]})
    assert await counts() == {tag: 1, other: 1}
    await ann.ask("DELETE", f"/gallery/outputs/{ids[0]}")
    assert await counts() == {other: 1}
    await ann.ask("DELETE", f"/runs/{place['run']}")
    assert await counts() == {}
    refused(await nobody.ask("GET", f"/accounts/{ann.name}"), 404)
    refused(await nobody.ask("GET", "/gallery/outputs/tags", params={"cursor": "x"}), 422)


async def test_workflows_and_outputs_stand_in_one_list(served: Whole, ann: Person, nobody: Person) -> None:
    word = uuid4().hex
    ids: list[tuple[str, str]] = []
    for number in range(2):
        workflow = await ann.workflow(name=f"Fox {word}")
        await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True, "tags": ["mixed"]})
        place = await succeeded(served, ann, f"a fox {number}".encode())
        shown = await ann.post("/gallery/outputs", place | {"name": f"Fox {word}", "tags": ["mixed"]})
        ids = [("output", shown["id"]), ("workflow", workflow), *ids]
    for asked in ({}, {"tag": "mixed"}):
        met, after = [], None
        while True:
            params = {"q": word, "limit": 1} | asked | ({"cursor": after} if after else {})
            page = await nobody.get("/gallery/mixed", params=params)
            shaped(MixedPage, page)
            met += [(each["kind"], each[each["kind"]]["id"]) for each in page["items"]]
            if (after := page["next_cursor"]) is None:
                break
        assert met == ids, asked
    for sort in ("likes", "trending"):
        page = await nobody.get("/gallery/mixed", params={"q": word, "sort": sort})
        assert {each[each["kind"]]["id"] for each in page["items"]} == {id for _, id in ids}
    assert all("run" not in each["output"] for each in page["items"] if each["kind"] == "output")


async def test_it_is_hidden_by_moderators_and_goes_with_its_run(
    served: Whole, ann: Person, bob: Person, nobody: Person
) -> None:
    place, word = await succeeded(served, ann, b"another fox"), uuid4().hex
    id = (await ann.post("/gallery/outputs", place | {"name": word}))["id"]
    async with joined(served) as eve:
        await eve.post("/reports", {"kind": "output", "id": id, "reason": "sexual"})
    await give(served, bob, Role.MODERATOR)
    await bob.post(f"/admin/reports/output/{id}/hide", {"reason": "Not here."})
    ann.seen = nobody.seen = bob.seen
    assert await found(nobody, word) == []
    assert (await ann.get(f"/gallery/outputs/{id}"))["hidden_for"] == "Not here."
    assert (await bob.get(f"/admin/reports/output/{id}"))["now"]["name"] == word
    refused(await ann.ask("POST", "/gallery/outputs", json=place | {"name": word}), 409)
    await bob.post(f"/admin/reports/output/{id}/restore", {"reason": "It may."})
    ann.seen = nobody.seen = bob.seen
    assert len(await found(nobody, word)) == 1
    assert (await ann.ask("DELETE", f"/runs/{place['run']}")).is_success
    nobody.seen = ann.seen
    assert await found(nobody, word) == []
    refused(await nobody.ask("GET", f"/gallery/outputs/{id}"), 404)
    refused(await bob.ask("PUT", f"/gallery/outputs/{id}/like"), 404)


async def test_what_is_not_ones_own_or_no_output_is_refused(served: Whole, ann: Person, bob: Person) -> None:
    place = await succeeded(served, ann, b"a third fox")
    for person, body, status in (
        (bob, place | {"name": "Mine"}, 404),
        (ann, place | {"name": "Mine", "index": 9}, 404),
        (ann, place | {"name": ""}, 422),
        (ann, place | {"name": "x", "tags": ["x"] * 3 + [""]}, 422),
        (ann, place | {"name": "x", "owner": bob.id}, 422),
    ):
        refused(await person.ask("POST", "/gallery/outputs", json=body), status)
    for asked in ({"q": "x" * 201}, {"cursor": "x"}, {"sort": "runs"}, {"limit": 0}):
        assert (await ann.ask("GET", "/gallery/outputs", params=asked)).status_code in (400, 422)


async def test_shared_outputs_go_with_their_account(own: Whole) -> None:
    async with joined(own) as ann, somebody(own) as nobody:
        id = (await ann.post("/gallery/outputs", await succeeded(own, ann, b"x") | {"name": "Fox"}))["id"]
        nobody.seen = ann.seen
        assert len((await nobody.get("/gallery/outputs"))["items"]) == 1
        nobody.seen = await erased(ann)
        assert (await nobody.get("/gallery/outputs"))["items"] == []
        refused(await nobody.ask("GET", f"/gallery/outputs/{id}"), 404)

        async def withdrawn() -> bool:
            return bool(value(own, "SELECT count(*) FROM read.shared_outputs WHERE wanted") == 0)

        with beside(errand(lambda: erasing(hasty(own)))):
            await eventually(withdrawn)
