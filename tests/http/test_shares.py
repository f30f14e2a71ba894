"""Share links over HTTP."""

from adapters.http.shares import OpenedAnswer, SharePage
from infra.erasing import erasing
from tests.http.errands import drawn, errand, eventually, value
from tests.http.person import Person, joined, somebody
from tests.http.problems import refused
from tests.http.test_erasing import hasty
from tests.http.test_erasure import erased
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside


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


async def test_links_are_erased_with_their_account(own: Whole) -> None:
    async with joined(own) as ann, somebody(own) as nobody:
        made = await ann.post("/shares", {"kind": "workflow", "id": await ann.workflow(public=True)})
        await erased(ann)
        refused(await nobody.ask("GET", made["url"].partition("/api/v1")[2]), 404)

        async def revoked() -> bool:
            return bool(value(own, "SELECT count(*) FROM read.shares") == 0)

        with beside(errand(lambda: erasing(hasty(own)))):
            await eventually(revoked)
