"""Workflows in the trash: out of everybody's sight, taken back as they were, or removed for good."""

from msgspec.structs import replace

from adapters.http import workflow_answers
from infra.emptying import emptying
from tests.http.errands import errand, eventually
from tests.http.executor import by_hand
from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.test_workflows import OTHER, shaped
from tests.http.whole import Whole, beside


async def thrown(person: Person) -> list[str]:
    page = await person.get("/workflows/trash")
    shaped(workflow_answers.TrashPage, page)
    return [each["workflow"]["id"] for each in page["items"]]


async def kept(person: Person) -> list[str]:
    return [each["id"] for each in (await person.get("/workflows"))["items"]]


async def topics(person: Person, workflow: str) -> list[str]:
    return [each["topic"] for each in (await person.get(f"/workflows/{workflow}/history"))["items"]]


async def test_what_is_thrown_away_comes_back_as_it_was(ann: Person, bob: Person, nobody: Person) -> None:
    workflow, path = await ann.workflow("Back soon", public=True), "/workflows/{}"
    path = f"/workflows/{workflow}"
    await ann.post(f"{path}/versions", {"graph": OTHER})
    bob.seen = ann.seen
    fork = (await bob.post(f"{path}/fork"))["id"]
    assert (await bob.ask("PUT", f"{path}/like")).is_success
    await bob.post(f"{path}/comments", {"text": "Fine."})
    ann.seen = bob.seen
    before = await ann.get(path)
    assert (await ann.ask("DELETE", path)).json()["position"] > 0
    assert (await ann.ask("DELETE", path)).json() == {"position": 0}
    assert (await thrown(ann), workflow in await kept(ann)) == ([workflow], False)
    for person in (ann, bob, nobody):
        person.seen = ann.seen
        refused(await person.ask("GET", path), 404)
        refused(await person.ask("GET", f"{path}/versions/1"), 404)
        assert workflow not in (await person.ask("GET", "/gallery", params={"q": "soon"})).text
    assert await thrown(bob) == []
    for method, below, body in (
        ("POST", "/fork", {}),
        ("POST", "/comments", {"text": "x"}),
        ("PUT", "/like", None),
    ):
        refused(await bob.ask(method, path + below, json=body), 404)
    refused(await bob.ask("POST", f"{path}/restore"), 404)
    refused(await bob.ask("DELETE", path, params={"for_good": True}), 404)
    refused(await ann.ask("POST", f"{path}/restore", headers={"If-Match": '"1"'}), 412)

    assert (await ann.ask("POST", f"{path}/restore")).status_code == 200
    assert (await ann.ask("POST", f"{path}/restore")).json() == {"position": 0}
    after = await ann.get(path)
    changing = {"revision", "updated_at"}
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert (after["likes"], after["comments"], after["public"]) == (1, 1, True)
    assert (await thrown(ann), workflow in await kept(ann)) == ([], True)
    bob.seen = ann.seen
    assert (await bob.get(f"{path}/comments"))["items"][0]["text"] == "Fine."
    assert (await bob.get(f"/workflows/{fork}"))["forked_from"]["workflow"] == workflow
    assert (await topics(ann, workflow))[-4:] == [
        "workflow.withdrawn.v1",
        "workflow.trashed.v1",
        "workflow.recovered.v1",
        "workflow.published.v1",
    ]


async def test_removed_for_good_it_cannot_come_back(ann: Person) -> None:
    at_once, later = await ann.workflow(), await ann.workflow()
    await ann.ask("DELETE", f"/workflows/{later}")
    for workflow in (at_once, later):
        gone = await ann.ask("DELETE", f"/workflows/{workflow}", params={"for_good": True})
        assert gone.json()["position"] > 0
        again = await ann.ask("DELETE", f"/workflows/{workflow}", params={"for_good": True})
        assert again.json() == {"position": 0}
        refused(await ann.ask("POST", f"/workflows/{workflow}/restore"), 404)
        assert (await topics(ann, workflow))[-1] == "workflow.deleted.v1"
    assert await thrown(ann) == []
    refused(await ann.ask("DELETE", f"/workflows/{later}", params={"for_good": "perhaps"}), 400, 422)


async def test_old_trash_is_removed_by_itself_and_runs_that_wait_go_on(own: Whole) -> None:
    async with joined(own) as ann, by_hand(own) as hand:
        old, taken_back, stays = [await ann.workflow() for _ in range(3)]
        run = await ann.run(old)
        for workflow in (old, taken_back):
            await ann.ask("DELETE", f"/workflows/{workflow}")
        assert await thrown(ann) == [taken_back, old]
        await ann.ask("POST", f"/workflows/{taken_back}/restore")
        refused(await ann.ask("POST", f"/workflows/{old}/runs"), 404)
        await hand.succeed(await hand.claim(run))
        with beside(errand(lambda: emptying(replace(own.settings, trash_kept_s=0.001, tidy_s=0.05)))):

            async def emptied() -> bool:
                return "workflow.deleted.v1" in await topics(ann, old)

            await eventually(emptied)
        assert await topics(ann, old) == [
            "workflow.created.v1",
            "workflow.version_saved.v1",
            "workflow.trashed.v1",
            "workflow.deleted.v1",
        ]
        assert set(await kept(ann)) == {taken_back, stays}
        assert (await ann.get(f"/runs/{run}"))["workflow"] == old
