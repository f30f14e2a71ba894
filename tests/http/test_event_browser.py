"""Administrators look for whatever happened, and follow it from cause to effect."""

from typing import Any
from uuid import uuid4

from tests.http.administrators import administrator
from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.whole import Whole


async def found(admin: Person, **asked: Any) -> list[dict[str, Any]]:
    return list((await admin.get("/admin/events", params=asked))["items"])


async def test_events_are_looked_for_by_all_that_is_known_of_them(served: Whole) -> None:
    async with administrator(served) as admin, joined(served) as ann:
        id = await ann.workflow(name="Looked for")
        (created, saved) = await found(admin, stream=id, sort="oldest")
        assert (created["topic"], created["data"]["name"], created["actor"]) == (
            "workflow.created.v1",
            "Looked for",
            ann.id,
        )
        assert [each["position"] for each in await found(admin, stream=id)] == [
            saved["position"],
            created["position"],
        ]
        at, mine = created["position"], {"account": ann.id, "topic": "workflow.created.v1"}
        assert await found(admin, **mine) == [created]
        assert await found(
            admin, **mine, actor=ann.id, kind="workflow", correlation=created["correlation"]
        ) == [created]
        assert await found(admin, **mine, after=at) == []
        assert await found(admin, **mine, before=at) == []
        assert await found(admin, **mine, after=at - 1, before=at + 1) == [created]
        assert await found(admin, **mine, **{"from": created["at"]}) == [created]
        assert await found(admin, **mine, to=created["at"]) == []
        assert await found(admin, stream=str(uuid4())) == []


async def test_every_event_is_met_once_in_both_orders(served: Whole) -> None:
    async with administrator(served) as admin:
        before = min(40, admin.head() + 1)
        for sort in ("newest", "oldest"):
            after, met = None, []
            while True:
                asked = {"sort": sort, "limit": 7, "before": before} | ({"cursor": after} if after else {})
                page = await admin.get("/admin/events", params=asked)
                met += [each["position"] for each in page["items"]]
                if (after := page["next_cursor"]) is None:
                    break
            assert sorted(met) == list(range(1, before))
            assert met == sorted(met, reverse=sort == "newest")


async def test_an_event_is_followed_to_what_came_of_the_same_request(served: Whole) -> None:
    async with administrator(served) as admin, joined(served) as ann:
        id = await ann.workflow(name="Followed")
        created, saved = await found(admin, stream=id, sort="oldest")
        told = await admin.get(f"/admin/events/{created['position']}")
        assert told["event"] == created
        assert saved in told["together"]
        causes, effects = (
            {each["position"] for each in told["causes"]},
            {each["position"] for each in told["effects"]},
        )
        assert max(causes, default=0) < created["position"] < min(effects, default=2**62)
        refused(await admin.ask("GET", "/admin/events/999999999"), 404)


async def test_what_is_personal_stays_sealed(served: Whole) -> None:
    async with administrator(served) as admin, joined(served) as ann:
        (registered,) = await found(admin, account=ann.id, topic="account.registered.v2")
        assert ann.name not in str(registered["data"])


WRONG = ({"topic": ""}, {"actor": "x" * 201}, {"after": -1}, {"cursor": "x"}, {"from": "never"})


async def test_what_makes_no_sense_is_refused(served: Whole) -> None:
    async with administrator(served) as admin:
        for asked in WRONG:
            refused(await admin.ask("GET", "/admin/events", params=asked), 422)


async def test_nobody_else_looks(served: Whole) -> None:
    async with joined(served) as ann:
        refused(await ann.ask("GET", "/admin/events"), 403)
        refused(await ann.ask("GET", "/admin/events/1"), 403)
