"""What goes by itself: told of before it goes, and only what falls under its owner's rule."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from adapters.http.retention import RetentionAnswer
from infra.keeping import keeping
from tests.http.errands import errand, eventually
from tests.http.executor import ByHand, by_hand
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.test_own_outputs import made
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside


@pytest.fixture
async def hand(served: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(served) as executor:
        yield executor


async def test_what_is_too_much_goes_oldest_first_and_stars_stay(
    served: Whole, ann: Person, bob: Person, hand: ByHand
) -> None:
    workflow = await ann.workflow()
    run = await made(ann, hand, await ann.run(workflow), b"a" * 100, b"b" * 100, b"c" * 100, b"d" * 100)
    others = await made(bob, hand, await bob.run(await bob.workflow()), b"e" * 1000)
    ids = [each["id"] for each in run["outputs"]]
    await ann.ask("PUT", f"/outputs/{ids[0]}/star")

    nothing = await ann.get("/accounts/me/retention")
    shaped(RetentionAnswer, nothing)
    assert (nothing["own"], nothing["going"], nothing["outputs"], nothing["starred"]) == (False, 0, 4, 1)
    as_if = await ann.get("/accounts/me/retention", params={"size_bytes": 250})
    assert ([each["id"] for each in as_if["first"]], as_if["going_bytes"]) == (ids[1:3], 200)
    assert [each["old"] for each in as_if["first"]] == [False, False]
    without_stars = {"size_bytes": 250, "keep_starred": False}
    as_if = await ann.get("/accounts/me/retention", params=without_stars)
    assert [each["id"] for each in as_if["first"]] == ids[:2]
    soon = await ann.get("/accounts/me/retention", params={"days": 1, "within_days": 2})
    assert ([each["id"] for each in soon["first"]], soon["first"][0]["old"]) == (ids[1:], True)
    today = await ann.get("/accounts/me/retention", params={"days": 1, "within_days": 0})
    assert today["going"] == 0

    await ann.ask("PUT", "/accounts/me/retention", json={"size_bytes": 250})
    assert (await ann.get("/accounts/me/retention"))["own"] is True
    settings = replace(served.settings, retention_every_s=0.2)

    async def only_two_are_left() -> bool:
        left = [each["id"] for each in (await ann.get(f"/runs/{run['id']}"))["outputs"]]
        assert {ids[0], ids[3]} <= set(left)
        return left == [ids[0], ids[3]]

    with beside(errand(lambda: keeping(settings))):
        await eventually(only_two_are_left)
    history = (await ann.get(f"/runs/{run['id']}/history"))["items"]
    gone = [each for each in history if each["topic"] == "run.output_deleted.v1"]
    assert [each["data"]["reason"] for each in gone] == ["All together were more than 250 bytes."] * 2
    assert {each["actor"] for each in gone} == {"keeping"}
    assert len((await bob.get(f"/runs/{others['id']}"))["outputs"]) == 1

    await ann.ask("DELETE", "/accounts/me/retention")
    assert (await ann.get("/accounts/me/retention"))["own"] is False
    for wrong in ({"days": 0}, {"size_bytes": -1}, {"within_days": -1}, {"within_days": 9999}):
        assert (await ann.ask("GET", "/accounts/me/retention", params=wrong)).status_code in (400, 422)
    refused(await ann.ask("PUT", "/accounts/me/retention", json={"days": 10**9}), 422)
