"""Share links over HTTP."""

from adapters.http.shares import OpenedAnswer, SharePage
from domain.account import Role
from infra.erasing import erasing
from tests.gateway.test_userdata import DRAWN, put
from tests.http.administrators import give
from tests.http.errands import drawn, errand, eventually, value
from tests.http.person import Person, joined, somebody
from tests.http.problems import refused
from tests.http.test_erasing import hasty
from tests.http.test_erasure import erased
from tests.http.test_shared_outputs import succeeded
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside
from tests.imaging.test_renditions import told


async def test_a_link_to_an_output_shows_the_file_and_goes_with_the_run(
    served: Whole, ann: Person, nobody: Person
) -> None:
    run = await drawn(served, ann, b"a picture")

    async def there() -> bool:
        return bool((await ann.get(f"/runs/{run}"))["status"] == "succeeded")

    await eventually(there)
    (output,) = (await ann.get(f"/runs/{run}"))["outputs"]
    asked = {"kind": "output", "id": run, "node": output["node"], "index": output["index"]}
    made = await ann.post("/shares", asked | {"expires_in": 3600})
    path = made["url"].partition("/api/v1")[2]
    answer = await nobody.ask("GET", path)
    opened = answer.json()
    shaped(OpenedAnswer, opened)
    assert (opened["author"], opened["workflow"]) == (ann.name, None)
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    file = await nobody.http.get(opened["output"]["url"].removeprefix(served.url))
    assert file.content == b"a picture"
    page = await ann.get("/shares")
    shaped(SharePage, page)
    assert [(each["id"], each["subject"], each["expired"]) for each in page["items"]] == [
        (made["id"], run, False)
    ]
    refused(await ann.ask("POST", "/shares", json={"kind": "output", "id": run}), 422)
    refused(await ann.ask("POST", "/shares", json=asked | {"index": 7}), 404)
    refused(await ann.ask("POST", "/shares", json=asked | {"expires_in": 0}), 422)
    assert (await ann.ask("DELETE", f"/runs/{run}")).is_success
    refused(await nobody.ask("GET", path), 404)


async def test_a_link_hands_a_picture_out_as_its_owner_wants_it(
    served: Whole, ann: Person, nobody: Person
) -> None:
    place = await succeeded(served, ann, told("PNG"))
    about = {"kind": "output", "id": place["run"], "node": place["node"], "index": place["index"]}
    path = (await ann.post("/shares", about))["url"].partition("/api/v1")[2]
    for wanted, kind in (({"metadata": False}, "image/png"), ({"format": "webp"}, "image/webp")):
        await ann.ask("PUT", "/accounts/me/rendition", json=wanted)
        url = (await nobody.get(path))["output"]["url"]
        file = await nobody.http.get(url.removeprefix(served.url))
        assert file.headers["content-type"] == kind
        assert (b"secret" in file.content) == wanted.get("metadata", True)
        refused(await nobody.http.get(url.partition("&as=")[0].removeprefix(served.url)), 404)


async def test_no_link_shows_an_output_that_a_moderator_has_hidden(
    served: Whole, ann: Person, bob: Person, nobody: Person
) -> None:
    place = await succeeded(served, ann, b"a fox that is not wanted")
    about = {"kind": "output", "id": place["run"], "node": place["node"], "index": place["index"]}
    path = (await ann.post("/shares", about))["url"].partition("/api/v1")[2]
    id = (await ann.post("/gallery/outputs", place | {"name": "Fox"}))["id"]
    await give(served, bob, Role.MODERATOR)
    await bob.post(f"/admin/reports/output/{id}/hide", {"reason": "Not here."})
    refused(await nobody.ask("GET", path), 404)
    await bob.post(f"/admin/reports/output/{id}/restore", {"reason": "It may."})
    assert (await nobody.get(path))["output"]["url"]


async def test_a_link_to_a_private_workflow_shows_it_to_anybody(ann: Person, nobody: Person) -> None:
    workflow = await ann.workflow("Secret foxes")
    made = await ann.post("/shares", {"kind": "workflow", "id": workflow})
    path = made["url"].partition("/api/v1")[2]
    opened = (await nobody.ask("GET", path)).json()
    shaped(OpenedAnswer, opened)
    assert opened["workflow"]["name"] == "Secret foxes"
    assert opened["workflow"]["graph"]["2"]["class_type"] == "SaveImage"
    refused(await nobody.ask("GET", f"/workflows/{workflow}"), 404)
    assert (await ann.ask("DELETE", f"/shares/{made['id']}")).json()["position"] > 0
    refused(await nobody.ask("GET", path), 404)
    assert (await ann.get("/shares"))["items"] == []


async def test_a_link_to_what_cannot_be_run_shows_it_as_the_editor_drew_it(
    ann: Person, nobody: Person
) -> None:
    await put(ann, "workflows/Strange.json", DRAWN)
    (workflow,) = (await ann.get("/workflows"))["items"]
    made = await ann.post("/shares", {"kind": "workflow", "id": workflow["id"]})
    opened = await nobody.get(made["url"].partition("/api/v1")[2])
    shaped(OpenedAnswer, opened)
    assert (opened["workflow"]["graph"], opened["workflow"]["editor_graph"]) == (None, DRAWN)


async def test_links_are_erased_with_their_account(own: Whole) -> None:
    async with joined(own) as ann, somebody(own) as nobody:
        made = await ann.post("/shares", {"kind": "workflow", "id": await ann.workflow(public=True)})
        await erased(ann)
        refused(await nobody.ask("GET", made["url"].partition("/api/v1")[2]), 404)

        async def revoked() -> bool:
            return bool(value(own, "SELECT count(*) FROM read.shares") == 0)

        with beside(errand(lambda: erasing(hasty(own)))):
            await eventually(revoked)
