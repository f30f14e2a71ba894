"""Liking over HTTP, and the gallery that counts it."""

import asyncio
from contextlib import AsyncExitStack
from random import Random
from typing import Any
from uuid import uuid4

from adapters.http import workflow_answers
from adapters.http.gallery import TagPage
from adapters.http.workflow_answers import GalleryPage
from infra.erasing import erasing
from infra.wiring import connect, needed, read_models
from projections.rebuild import rebuild
from tests.http.errands import errand, eventually
from tests.http.person import Person, joined, somebody
from tests.http.problems import refused
from tests.http.test_erasing import hasty, unfinished
from tests.http.test_erasure import erased
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, another_api, beside


async def standing(person: Person, workflow: str) -> tuple[int, bool]:
    shown = await person.get(f"/workflows/{workflow}")
    return shown["likes"], shown["liked"]


async def test_a_like_is_counted_once_and_shown_to_who_gave_it(
    ann: Person, bob: Person, nobody: Person
) -> None:
    workflow = await ann.workflow("Foxes", tags=[tag := f"tag {uuid4().hex}"], public=True)
    for _ in range(2):
        assert (await bob.ask("PUT", f"/workflows/{workflow}/like")).status_code == 200
    assert await standing(bob, workflow) == (1, True)
    assert await standing(ann, workflow) == await standing(nobody, workflow) == (1, False)
    page = await bob.get("/gallery", params={"tag": tag, "sort": "likes"})
    shaped(workflow_answers.GalleryPage, page)
    assert [(each["id"], each["likes"], each["liked"]) for each in page["items"]] == [(workflow, 1, True)]
    assert (await bob.ask("DELETE", f"/workflows/{workflow}/like")).json()["position"] > 0
    assert (await bob.ask("DELETE", f"/workflows/{workflow}/like")).json()["position"] == 0
    assert await standing(bob, workflow) == (0, False)


async def test_a_private_workflow_is_liked_by_no_stranger(ann: Person, bob: Person) -> None:
    workflow = await ann.workflow()
    for method in ("PUT", "DELETE"):
        refused(await bob.ask(method, f"/workflows/{workflow}/like"), 404)


async def test_the_count_is_right_after_everybody_has_changed_their_mind_and_after_a_rebuild(
    served: Whole, ann: Person
) -> None:
    """Each one by two processes at once; the last word is said alone."""
    workflow = await ann.workflow("Much discussed", public=True)
    chance = Random(7)

    async def change(person: Person, wishes: list[bool]) -> None:
        for likes in wishes:
            method = "PUT" if likes else "DELETE"
            assert (await person.ask(method, f"/workflows/{workflow}/like")).is_success

    with another_api(served) as second:
        async with AsyncExitStack() as stack:
            people = [await stack.enter_async_context(joined(served)) for _ in range(6)]
            others = [await stack.enter_async_context(somebody(second)) for _ in people]
            for person, other in zip(people, others, strict=True):
                other.http.headers["Authorization"] = person.http.headers["Authorization"]
            wishes = [[chance.random() < 0.5 for _ in range(12)] for _ in people + others]
            await asyncio.gather(*map(change, people + others, wishes))
            last = [chance.random() < 0.5 for _ in people]
            await asyncio.gather(
                *(change(person, [likes]) for person, likes in zip(people, last, strict=True))
            )
    assert (await standing(ann, workflow))[0] == sum(last)
    async with read_models(served.settings) as models:
        url = needed(served.settings.project_database_url, "project")
        await rebuild(models["gallery"], connect(url))
    assert (await standing(ann, workflow))[0] == sum(last)


async def test_the_gallery_is_searched_and_sorted(ann: Person, nobody: Person) -> None:
    word, tag = f"w{uuid4().hex}", uuid4().hex
    for name in ("First", "Second"):
        await ann.workflow(f"{name} {word}", tags=[tag], public=True)
    for asked in ({"q": word}, {"tag": tag}, {"q": f"second OR first {word}"}):
        for sort in ("new", "trending", "likes", "runs"):
            page = await nobody.get("/gallery", params={"sort": sort, "limit": 1, **asked})
            after = {"cursor": page["next_cursor"]}
            rest = await nobody.get("/gallery", params={"sort": sort, "limit": 1, **asked, **after})
            assert {each["name"] for each in page["items"] + rest["items"]} == {
                f"First {word}",
                f"Second {word}",
            }
            assert rest["next_cursor"] is None
    tags = await nobody.get("/gallery/tags", params={"limit": 200})
    shaped(TagPage, tags)
    assert {"tag": tag, "workflows": 2} in tags["items"]
    wrong: list[dict[str, Any]] = [
        {"sort": "best"},
        {"q": "x" * 201},
        {"tag": "x" * 201},
        {"sort": "likes", "cursor": "x"},
        {"q": "\0"},
    ]
    for asked in wrong:
        assert (await nobody.ask("GET", "/gallery", params=asked)).status_code in (400, 422)
    refused(await nobody.ask("GET", "/gallery/tags", params={"cursor": "x"}), 422)


async def test_what_a_deleted_account_liked_is_counted_no_more(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        workflow = await ann.workflow(public=True)
        await bob.ask("PUT", f"/workflows/{workflow}/like")
        assert await standing(ann, workflow) == (1, False)
        await erased(bob)
        with beside(errand(lambda: erasing(hasty(own)))):

            async def forgotten() -> bool:
                return await standing(ann, workflow) == (0, False) and unfinished(own) == 0

            await eventually(forgotten)


async def test_what_somebody_has_published_is_listed_with_their_profile(
    ann: Person, bob: Person, nobody: Person
) -> None:
    """Drafts, what is hidden or in the trash and other people's are not among it."""
    ids = [await ann.workflow(f"Number {number}", public=True) for number in range(4)]
    await ann.workflow("A draft")
    await bob.workflow("Somebody else's", public=True)
    await ann.ask("PATCH", f"/workflows/{ids[0]}", json={"public": False})
    await ann.ask("DELETE", f"/workflows/{ids[1]}")
    for person in (ann, bob, nobody):
        person.seen = max(ann.seen, bob.seen)
        met: list[str] = []
        after = None
        while True:
            params = {"limit": 1} | ({"cursor": after} if after else {})
            page = await person.get(f"/accounts/{ann.name}/workflows", params=params)
            shaped(GalleryPage, page)
            met += [each["id"] for each in page["items"]]
            if (after := page["next_cursor"]) is None:
                break
        assert met == [ids[3], ids[2]]
        assert {each["author"] for each in page["items"]} == {ann.name}
    refused(await nobody.ask("GET", "/accounts/nobody-at-all/workflows"), 404)
    refused(await nobody.ask("GET", f"/accounts/{ann.name}/workflows", params={"cursor": "x"}), 422)
