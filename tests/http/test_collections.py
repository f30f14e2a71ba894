"""Collections over HTTP."""

from typing import Any
from uuid import uuid4

from adapters.http.collections import CollectionAnswer, CollectionPage
from infra.erasing import erasing
from tests.http.errands import errand, eventually, value
from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.test_erasing import hasty
from tests.http.test_erasure import erased
from tests.http.test_shared_outputs import succeeded
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside


async def named(person: Person, collection: str, **asked: Any) -> list[str]:
    page = await person.get(f"/collections/{collection}", params=asked)
    shaped(CollectionAnswer, page)
    return [member["name"] for member in page["items"]]


async def test_a_list_is_filled_ordered_and_shown(
    served: Whole, ann: Person, bob: Person, nobody: Person
) -> None:
    private, public = await ann.workflow("Mine"), await ann.workflow("Ours", public=True)
    place = await succeeded(served, ann, b"a fox in a list")
    output = (await ann.post("/gallery/outputs", place | {"name": "A fox"}))["id"]
    list_ = (await ann.post("/collections", {"name": "Foxes"}))["id"]
    path = f"/collections/{list_}"
    members = [("workflow", private), ("output", output), ("workflow", public)]
    for kind, id in members:
        assert (await ann.ask("PUT", f"{path}/members/{kind}/{id}")).json()["position"] > 0
        assert (await ann.ask("PUT", f"{path}/members/{kind}/{id}")).json()["position"] == 0
    assert await named(ann, list_) == ["Mine", "A fox", "Ours"]
    bob.seen = nobody.seen = ann.seen
    refused(await bob.ask("GET", path), 404)
    assert (await bob.get(f"/accounts/{ann.name}/collections"))["items"] == []
    await ann.ask("PATCH", path, json={"public": True, "description": "All of them."})
    order = [{"kind": kind, "id": id} for kind, id in reversed(members)]
    assert (await ann.ask("PUT", f"{path}/order", json={"members": order})).json()["position"] > 0
    refused(await ann.ask("PUT", f"{path}/order", json={"members": order[1:]}), 422)
    bob.seen = nobody.seen = ann.seen
    for person in (bob, nobody):
        assert await named(person, list_) == ["Ours", "A fox"]
    first = await nobody.get(path, params={"limit": 1})
    assert (await named(nobody, list_, cursor=first["next_cursor"])) == ["A fox"]
    page = await nobody.get(f"/accounts/{ann.name}/collections")
    shaped(CollectionPage, page)
    assert [(each["name"], each["members"], each["author"]) for each in page["items"]] == [
        ("Foxes", 3, ann.name)
    ]
    for method, below in (("PUT", "members/workflow/" + public), ("DELETE", "members/workflow/" + public)):
        refused(await bob.ask(method, f"{path}/{below}"), 404)
    assert (await ann.ask("DELETE", f"{path}/members/workflow/{public}")).json()["position"] > 0
    assert await named(ann, list_) == ["A fox", "Mine"]
    assert (await ann.ask("DELETE", path)).json()["position"] > 0
    refused(await ann.ask("GET", path), 404)
    assert (await ann.get(f"/workflows/{public}"))["name"] == "Ours"


async def test_what_one_does_not_see_is_not_put_into_a_list(ann: Person, bob: Person) -> None:
    private = await ann.workflow()
    bob.seen = ann.seen
    list_ = (await bob.post("/collections", {"name": "Theirs"}))["id"]
    for kind, id in (("workflow", private), ("output", private), ("output", str(uuid4())), ("run", private)):
        refused(await bob.ask("PUT", f"/collections/{list_}/members/{kind}/{id}"), 404)
    for body in ({"name": ""}, {"name": "x", "owner": ann.id}, {}):
        refused(await bob.ask("POST", "/collections", json=body), 422)
    assert (await bob.get("/collections"))["items"][0]["members"] == 0


async def test_lists_are_erased_with_their_account(own: Whole) -> None:
    async with joined(own) as ann:
        await ann.post("/collections", {"name": "Foxes", "public": True})
        await erased(ann)

        async def gone() -> bool:
            return bool(value(own, "SELECT count(*) FROM read.collections") == 0)

        with beside(errand(lambda: erasing(hasty(own)))):
            await eventually(gone)
