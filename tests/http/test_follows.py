"""Following over HTTP, and the feed."""

import asyncio
from typing import Any

from adapters.http.follows import FeedPage, FollowingAnswer, FollowPage
from infra.erasing import erasing
from tests.http.errands import errand, eventually
from tests.http.log import deeds
from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.test_erasing import hasty, unfinished
from tests.http.test_erasure import erased
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside


async def followed(person: Person, name: str) -> int:
    answer = await person.ask("PUT", f"/accounts/{name}/follow")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["position"])


async def test_somebody_is_followed_once_and_no_more_when_it_is_enough(ann: Person, bob: Person) -> None:
    assert await followed(bob, ann.name.upper()) > 0
    assert await followed(bob, ann.id) == 0
    shown = await bob.get(f"/accounts/{ann.name}/follow")
    shaped(FollowingAnswer, shown)
    assert shown == {"followers": 1, "following": 0, "followed": True}
    assert await ann.get(f"/accounts/{bob.name}/follow") == {
        "followers": 0,
        "following": 1,
        "followed": False,
    }
    for path, name in (
        (f"/accounts/{ann.name}/followers", bob.name),
        (f"/accounts/{bob.name}/following", ann.name),
    ):
        page = await ann.get(path)
        shaped(FollowPage, page)
        assert [each["username"] for each in page["items"]] == [name]
    assert (await bob.ask("DELETE", f"/accounts/{ann.name}/follow")).json()["position"] > 0
    assert (await bob.ask("DELETE", f"/accounts/{ann.name}/follow")).json()["position"] == 0
    assert (await bob.get(f"/accounts/{ann.name}/followers"))["items"] == []


async def test_nobody_follows_themselves_or_nobody(served: Whole, ann: Person) -> None:
    before = deeds(served)
    refused(await ann.ask("PUT", f"/accounts/{ann.name}/follow"), 409)
    for name in ("nobody-at-all", ann.email, "x", "00000000-0000-0000-0000-000000000009", "%20"):
        for method, below in (
            ("PUT", "follow"),
            ("DELETE", "follow"),
            ("GET", "follow"),
            ("GET", "followers"),
        ):
            refused(await ann.ask(method, f"/accounts/{name}/{below}"), 404)
    assert deeds(served) == before


async def test_the_feed_tells_what_those_one_follows_show(ann: Person, bob: Person) -> None:
    await followed(bob, ann.name)
    workflow = await ann.workflow("Foxes", public=True)
    await ann.post(f"/workflows/{workflow}/comments", {"text": f"Look, @{bob.name}!"})
    await ann.workflow("Private")
    page = await bob.get("/feed")
    shaped(FeedPage, page)
    assert [(each["kind"], each["by"]) for each in page["items"]] == [
        ("mentioned", ann.name),
        ("published", ann.name),
    ]
    assert page["items"][0]["workflow"] == {"id": workflow, "name": "Foxes"}
    first = await bob.get("/feed", params={"limit": 1})
    rest = await bob.get("/feed", params={"limit": 1, "cursor": first["next_cursor"]})
    assert first["items"] + rest["items"] == page["items"]
    assert (await ann.get("/feed"))["items"][-1]["kind"] == "followed"
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": False})
    assert (await bob.get("/feed"))["items"] == []
    refused(await bob.ask("GET", "/feed", params={"cursor": "x"}), 422)


async def test_the_count_is_right_after_everybody_has_changed_their_mind(served: Whole, ann: Person) -> None:
    async with joined(served) as one, joined(served) as two, joined(served) as three:

        async def change(person: Person, wishes: str) -> None:
            for wish in wishes:
                method = "PUT" if wish == "+" else "DELETE"
                assert (await person.ask(method, f"/accounts/{ann.name}/follow")).is_success

        await asyncio.gather(change(one, "+-+-+-+-+"), change(two, "++-+-+--"), change(three, "-+-+-+--++"))
        assert (await ann.get(f"/accounts/{ann.name}/follow"))["followers"] == 2


async def test_a_deleted_account_follows_nobody_and_is_followed_by_nobody(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob, joined(own) as eve:
        await followed(bob, ann.name)
        await followed(ann, bob.name)
        await followed(eve, bob.name)
        await erased(bob)
        with beside(errand(lambda: erasing(hasty(own)))):

            async def forgotten() -> bool:
                left: list[Any] = [await eve.get(f"/accounts/{each}/follow") for each in (ann.id, eve.id)]
                nothing = {"followers": 0, "following": 0, "followed": False}
                return left == [nothing, nothing] and unfinished(own) == 0

            await eventually(forgotten)
