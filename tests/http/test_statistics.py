"""Administrators are told in figures what there is and what happens."""

from typing import Any

from tests.http.administrators import administrator
from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.whole import Whole

NO_RUNS = {"submitted": 0, "cancelled": 0}


async def told(admin: Person) -> dict[str, Any]:
    return dict(await admin.get("/admin/statistics"))


def shared_pool(figures: dict[str, Any]) -> dict[str, Any]:
    """Of the last day."""
    days = [each for each in figures["runs"] if (each["pool"], each["day"]) == ("shared", figures["last"])]
    return days[0] if days else NO_RUNS


async def test_what_comes_and_goes_is_counted(served: Whole) -> None:
    async with administrator(served) as admin:
        before = await told(admin)
        async with joined(served) as ann, joined(served) as bob:
            id = await ann.workflow()
            await ann.ask("PATCH", f"/workflows/{id}", json={"public": True})
            await bob.ask("PUT", f"/workflows/{id}/like")
            said = await bob.post(f"/workflows/{id}/comments", {"text": "Fine."})
            await bob.ask("DELETE", f"/comments/{said['id']}")
            run = await ann.run(id)
            await ann.post(f"/runs/{run}/cancel")
            after = await told(admin)

    def more(name: str) -> tuple[int, ...]:
        return tuple(after[name][part] - before[name][part] for part in ("total", "added", "removed"))

    assert (more("accounts"), more("workflows"), more("published_workflows")) == (
        (2, 2, 0),
        (1, 1, 0),
        (1, 1, 0),
    )
    assert (more("likes"), more("comments"), more("published_outputs")) == ((1, 1, 0), (0, 1, 1), (0, 0, 0))
    assert after["active_accounts"] == before["active_accounts"] + 2
    assert after["active_days"][-1]["day"] == after["last"]
    now, earlier = shared_pool(after), shared_pool(before)
    assert [now[name] - earlier[name] for name in NO_RUNS] == [1, 1]


async def test_days_before_anything_happened_are_empty(served: Whole) -> None:
    async with administrator(served) as admin:
        old = await admin.get("/admin/statistics", params={"from": "2001-01-01", "to": "2001-02-01"})
        assert (old["accounts"]["total"], old["active_accounts"], old["runs"]) == (0, 0, [])
        refused(
            await admin.ask("GET", "/admin/statistics", params={"from": "2026-02-01", "to": "2026-01-01"}),
            422,
        )


async def test_nobody_else_is_told(served: Whole) -> None:
    async with joined(served) as ann:
        refused(await ann.ask("GET", "/admin/statistics"), 403)
