"""Talking about workflows over HTTP."""

from typing import Any
from uuid import uuid4

from adapters.http.comments import CommentPage
from domain.account import Role
from infra.erasing import erasing
from tests.http.administrators import give
from tests.http.errands import errand, eventually
from tests.http.log import deeds
from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.test_erasing import hasty, unfinished
from tests.http.test_erasure import erased
from tests.http.test_shared_outputs import succeeded
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside

MARKUP = (
    """<script>alert('1')</script> & "quotes" \\u0041 {{7*7}} [x](javascript:alert(1)) Größe 🙂\n\tline"""
)


async def said(person: Person, workflow: str, **asked: Any) -> list[dict[str, Any]]:
    page = await person.get(f"/workflows/{workflow}/comments", params=asked)
    shaped(CommentPage, page)
    items: list[dict[str, Any]] = page["items"]
    return items


async def test_a_thread_is_written_edited_and_deleted(ann: Person, bob: Person, nobody: Person) -> None:
    workflow = await ann.workflow("Foxes", public=True)
    text = f"Hello @{ann.name.upper()} and @nobody-{uuid4().hex[:8]}"
    answer = await bob.ask("POST", f"/workflows/{workflow}/comments", json={"text": text})
    assert answer.status_code == 201
    first = answer.json()["id"]
    await ann.post(f"/workflows/{workflow}/comments", {"text": "Thanks.", "parent": first})
    for person in (ann, bob, nobody):
        (top,) = await said(person, workflow)
        assert (top["author"], top["text"], top["mentions"]) == (bob.name, text, [ann.name])
        assert (top["yours"], top["replies"], top["edited_at"]) == (person is bob, 1, None)
        (below,) = await said(person, workflow, parent=first)
        assert (below["text"], below["parent"]) == ("Thanks.", first)
        assert (await person.get(f"/workflows/{workflow}"))["comments"] == 2
    assert (await bob.ask("PATCH", f"/comments/{first}", json={"text": "Hello."})).json()["position"] > 0
    assert (await bob.ask("PATCH", f"/comments/{first}", json={"text": "Hello."})).json()["position"] == 0
    (top,) = await said(bob, workflow)
    assert (top["text"], top["mentions"], top["edited_at"] is None) == ("Hello.", [], False)
    for method, body in (("PATCH", {"text": "Mine."}), ("DELETE", None)):
        refused(await ann.ask(method, f"/comments/{first}", json=body), 404)
    assert (await bob.ask("DELETE", f"/comments/{first}")).json()["position"] > 0
    assert (await bob.ask("DELETE", f"/comments/{first}")).json()["position"] == 0
    (top,) = await said(bob, workflow)
    assert (top["author"], top["text"], top["deleted"]) == ("", "", True)
    assert len(await said(bob, workflow, parent=first)) == 1
    asked = {"text": "Too late.", "parent": first}
    refused(await bob.ask("POST", f"/workflows/{workflow}/comments", json=asked), 409)


async def test_text_comes_back_as_it_was_written(ann: Person) -> None:
    workflow = await ann.workflow(public=True)
    await ann.post(f"/workflows/{workflow}/comments", {"text": MARKUP})
    (shown,) = await said(ann, workflow)
    assert shown["text"] == MARKUP
    answer = await ann.ask("GET", f"/workflows/{workflow}/comments")
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_one_key_is_one_comment(served: Whole, ann: Person) -> None:
    workflow, key = await ann.workflow(public=True), {"Idempotency-Key": uuid4().hex}
    before = deeds(served)
    path = f"/workflows/{workflow}/comments"
    first, again = [await ann.post(path, {"text": "Once."}, headers=key) for _ in range(2)]
    assert first == again
    assert deeds(served) == before + 1


async def test_what_is_no_comment_is_refused(served: Whole, ann: Person, bob: Person) -> None:
    workflow, private = await ann.workflow(public=True), await ann.workflow()
    before = deeds(served)
    for body in (
        {"text": " "},
        {"text": "x" * 4_001},
        {"text": "\x1b"},
        {"text": 1},
        {},
        {"text": "x", "by": bob.id},
    ):
        refused(await ann.ask("POST", f"/workflows/{workflow}/comments", json=body), 422)
    crowd = " ".join(f"@someone{number}" for number in range(21))
    refused(await ann.ask("POST", f"/workflows/{workflow}/comments", json={"text": crowd}), 422)
    for parent in (str(uuid4()), workflow):
        asked = {"text": "x", "parent": parent}
        refused(await ann.ask("POST", f"/workflows/{workflow}/comments", json=asked), 404)
    refused(await bob.ask("POST", f"/workflows/{private}/comments", json={"text": "x"}), 404)
    refused(await bob.ask("GET", f"/workflows/{private}/comments"), 404)
    refused(await bob.ask("GET", f"/workflows/{workflow}/comments", params={"cursor": "x"}), 422)
    assert deeds(served) == before


async def test_those_who_keep_order_delete_what_others_say(served: Whole, ann: Person, bob: Person) -> None:
    workflow = await ann.workflow(public=True)
    comment = (await ann.post(f"/workflows/{workflow}/comments", {"text": "Spam."}))["id"]
    refused(await bob.ask("DELETE", f"/comments/{comment}"), 404)
    await give(served, bob, Role.MODERATOR)
    assert (await bob.ask("DELETE", f"/comments/{comment}")).json()["position"] > 0
    (shown,) = await said(ann, workflow)
    assert (shown["text"], shown["deleted"]) == ("", True)


async def test_a_deleted_account_leaves_its_words_without_a_name_or_takes_them_along(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob, joined(own) as eve:
        workflow = await ann.workflow(public=True)
        for person in (bob, eve):
            await person.post(f"/workflows/{workflow}/comments", {"text": "I was here."})
        await erased(bob)
        await erased(eve, published="delete")
        with beside(errand(lambda: erasing(hasty(own)))):

            async def forgotten() -> bool:
                shown = [(each["author"], each["text"]) for each in await said(ann, workflow)]
                left = [("", ""), ("deleted account", "I was here.")]
                return shown == left and unfinished(own) == 0

            await eventually(forgotten)


async def test_an_output_is_talked_about_like_a_workflow(
    served: Whole, ann: Person, bob: Person, nobody: Person
) -> None:
    shown = await succeeded(served, ann, b"a talked about fox")
    id = (await ann.post("/gallery/outputs", shown | {"name": "Fox"}))["id"]
    path = f"/gallery/outputs/{id}"
    bob.seen = ann.seen
    first = (await bob.post(f"{path}/comments", {"text": f"Which sampler, @{ann.name}?"}))["id"]
    ann.seen = bob.seen
    await ann.post(f"{path}/comments", {"text": "Euler.", "parent": first})
    bob.seen = nobody.seen = ann.seen
    for person in (ann, bob, nobody):
        page = await person.get(f"{path}/comments")
        shaped(CommentPage, page)
        (top,) = page["items"]
        assert (top["author"], top["mentions"], top["replies"]) == (bob.name, [ann.name], 1)
        assert (top["output"], top["workflow"], top["yours"]) == (id, None, person is bob)
        (below,) = (await person.get(f"{path}/comments", params={"parent": first}))["items"]
        assert below["text"] == "Euler."
        assert (await person.get(path))["comments"] == 2
    refused(await nobody.ask("POST", f"{path}/comments", json={"text": "x"}), 401)
    refused(await bob.ask("POST", f"/workflows/{id}/comments", json={"text": "x"}), 404)
    refused(await bob.ask("POST", f"/gallery/outputs/{uuid4()}/comments", json={"text": "x"}), 404)
    other = await ann.workflow(public=True)
    for elsewhere in (f"/workflows/{other}", f"/gallery/outputs/{uuid4()}"):
        refused(await ann.ask("POST", f"{elsewhere}/comments", json={"text": "x", "parent": first}), 404)

    async with joined(served) as eve:
        eve.seen = ann.seen
        await eve.post("/reports", {"kind": "comment", "id": first, "reason": "spam"})
    moderator = ann  # whose output it is makes no difference: the comment is bob's
    await give(served, moderator, Role.MODERATOR)
    told = await moderator.get(f"/admin/reports/comment/{first}")
    assert (told["now"]["output"], told["now"]["workflow"]) == (id, None)
    await moderator.post(f"/admin/reports/comment/{first}/hide", {"reason": "Not here."})
    bob.seen = nobody.seen = ann.seen
    (top,) = (await nobody.get(f"{path}/comments"))["items"]
    assert (top["text"], top["hidden"], (await nobody.get(path))["comments"]) == ("", True, 1)
    await moderator.post(f"/admin/reports/comment/{first}/restore", {"reason": "It may."})
    bob.seen = ann.seen
    assert (await bob.ask("PATCH", f"/comments/{first}", json={"text": "Which one?"})).is_success
    assert (await bob.ask("DELETE", f"/comments/{first}")).is_success
    nobody.seen = bob.seen
    assert (await nobody.get(path))["comments"] == 1
    assert (await ann.ask("DELETE", path)).is_success
    nobody.seen = bob.seen = ann.seen
    refused(await nobody.ask("GET", f"{path}/comments"), 404)
    refused(await bob.ask("POST", f"{path}/comments", json={"text": "x"}), 404)
    assert len((await ann.get(f"{path}/comments"))["items"]) == 1


async def test_in_the_trash_nobody_reads_what_was_said(ann: Person, bob: Person) -> None:
    """Not even its owner, who does not see the workflow either. A comment there is still deleted by who wrote it."""
    workflow = await ann.workflow(public=True)
    bob.seen = ann.seen
    first, second = [
        (await bob.post(f"/workflows/{workflow}/comments", {"text": text}))["id"] for text in "ab"
    ]
    ann.seen = bob.seen
    assert (await ann.ask("DELETE", f"/workflows/{workflow}")).is_success
    for person in (ann, bob):
        person.seen = ann.seen
        refused(await person.ask("GET", f"/workflows/{workflow}/comments"), 404)
        refused(await person.ask("POST", f"/workflows/{workflow}/comments", json={"text": "x"}), 404)
    refused(await bob.ask("PATCH", f"/comments/{first}", json={"text": "x"}), 404)
    assert (await bob.ask("DELETE", f"/comments/{first}")).is_success
    ann.seen = bob.seen
    assert (await ann.ask("POST", f"/workflows/{workflow}/restore")).is_success
    assert (await ann.get(f"/workflows/{workflow}"))["comments"] == 1
    assert [each["id"] for each in await said(ann, workflow) if not each["deleted"]] == [second]
