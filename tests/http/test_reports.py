"""Reporting things over HTTP, and what moderators make of it."""

from typing import Any
from uuid import uuid4

from adapters.http.reports import CaseAnswer, CasePage
from domain.account import Role
from tests.http.administrators import give
from tests.http.log import deeds
from tests.http.person import Person, joined
from tests.http.problems import refused
from tests.http.test_comments import said
from tests.http.test_workflows import shaped
from tests.http.whole import Whole


def a_report(kind: str, id: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "id": id, "reason": "spam"} | more


async def test_what_is_reported_is_hidden_from_all_others_and_shown_again(
    served: Whole, ann: Person, bob: Person, nobody: Person
) -> None:
    workflow = await ann.workflow(name := f"Buy {uuid4().hex}", public=True)
    comment = (await ann.post(f"/workflows/{workflow}/comments", {"text": "Buy this!"}))["id"]
    async with joined(served) as eve:
        eve.seen = ann.seen
        for kind, id in (("workflow", workflow), ("comment", comment), ("workflow", workflow)):
            told = await eve.post("/reports", a_report(kind, id, text="It sells things."))
        assert told["position"] == 0  # again
        refused(await ann.ask("POST", "/reports", json=a_report("workflow", workflow)), 409)
        refused(await eve.ask("POST", "/reports", json=a_report("workflow", comment)), 404)
        refused(await eve.ask("POST", "/reports", json=a_report("workflow", workflow, text="\x1b")), 422)
        refused(await eve.ask("GET", "/admin/reports"), 403)
        await give(served, bob, Role.MODERATOR)
        bob.seen = eve.seen
        page = await bob.get("/admin/reports", params={"state": "open", "kind": "workflow"})
        shaped(CasePage, page)
        (case,) = [each for each in page["items"] if each["id"] == workflow]
        assert (case["open"], case["said"], case["owner"]) == (1, name, ann.id)
        for kind, id in (("workflow", workflow), ("comment", comment)):
            decided = await bob.post(f"/admin/reports/{kind}/{id}/hide", {"reason": "An advertisement."})
            assert decided["position"] > 0
        shown = await bob.get(f"/admin/reports/comment/{comment}")
        shaped(CaseAnswer, shown)
        assert [entry["deed"] for entry in shown["entries"]] == ["hidden", "reported"]
        assert (shown["now"]["text"], shown["now"]["hidden"]) == ("Buy this!", True)
        ann.seen = eve.seen = nobody.seen = bob.seen
        own = await ann.get(f"/workflows/{workflow}")
        assert (own["public"], own["hidden_for"]) == (False, "An advertisement.")
        history = await ann.get(f"/workflows/{workflow}/history")
        assert [entry["actor"] for entry in history["items"]][-1] == "staff"
        assert history["items"][-1]["data"]["reason"] == "An advertisement."
        assert bob.id not in str(history)
        (left,) = await said(ann, workflow)
        assert (left["text"], left["hidden_for"]) == ("Buy this!", "An advertisement.")
        for person in (eve, nobody):
            refused(await person.ask("GET", f"/workflows/{workflow}"), 404)
            assert name not in (await person.ask("GET", "/gallery", params={"q": name})).text
        refused(await eve.ask("PUT", f"/workflows/{workflow}/like"), 404)
        refused(await eve.ask("POST", f"/workflows/{workflow}/runs", json={}), 404)
        refused(await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True}), 409)
        await bob.post(f"/admin/reports/workflow/{workflow}/restore", {"reason": "It is a joke."})
        eve.seen = bob.seen
        assert (await eve.get(f"/workflows/{workflow}"))["name"] == name
        (gone,) = await said(eve, workflow)
        assert (gone["author"], gone["text"], gone["hidden"], gone["hidden_for"]) == ("", "", True, None)
        await bob.post(f"/admin/reports/comment/{comment}/restore", {"reason": "A joke as well."})
        eve.seen = bob.seen
        assert [each["text"] for each in await said(eve, workflow)] == ["Buy this!"]


async def test_moderators_leave_their_own_and_accounts_to_others(served: Whole, bob: Person) -> None:
    async with joined(served) as eve:
        workflow = await bob.workflow(public=True)
        await eve.post("/reports", a_report("workflow", workflow))
        await eve.post("/reports", a_report("account", bob.id, reason="harassment"))
        await give(served, bob, Role.MODERATOR)
        before = deeds(served)
        because = {"reason": "I like it."}
        for deed in ("dismiss", "hide", "restore"):
            refused(await bob.ask("POST", f"/admin/reports/workflow/{workflow}/{deed}", json=because), 409)
        refused(await bob.ask("POST", f"/admin/reports/account/{eve.id}/hide", json=because), 403)
        refused(await bob.ask("POST", f"/admin/reports/account/{eve.id}/dismiss", json=because), 404)
        refused(await bob.ask("POST", f"/admin/reports/workflow/{uuid4()}/hide", json=because), 404)
        refused(await bob.ask("POST", f"/admin/reports/nothing/{workflow}/hide", json=because), 404)
        refused(await bob.ask("GET", f"/admin/reports/workflow/{uuid4()}"), 404)
        assert deeds(served) == before
        await give(served, eve, Role.ADMIN)
        done = await eve.post(f"/admin/reports/account/{bob.id}/dismiss", {"reason": "It was a quarrel."})
        assert done["position"] > 0
        page = await eve.get("/admin/reports", params={"state": "dismissed"})
        assert bob.id in [each["id"] for each in page["items"]]


async def test_nobody_reports_without_end(served: Whole, bob: Person) -> None:
    for _ in range(20):
        refused(await bob.ask("POST", "/reports", json=a_report("comment", str(uuid4()))), 404)
    answer = await bob.ask("POST", "/reports", json=a_report("comment", str(uuid4())))
    refused(answer, 429)
    assert int(answer.headers["retry-after"]) > 0
