"""Notifications over HTTP, with the errand that gives them."""

from adapters.http.notices import NoticePage
from domain.account import Role
from infra.notifying import notifying
from tests.http.administrators import give
from tests.http.errands import errand, eventually
from tests.http.person import joined
from tests.http.problems import refused
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside


async def test_what_others_do_is_heard_of_and_read(own: Whole) -> None:
    with beside(errand(lambda: notifying(own.settings))):
        async with joined(own) as ann, joined(own) as bob:
            workflow = await ann.workflow("Foxes", public=True)
            await bob.ask("PUT", f"/accounts/{ann.name}/follow")
            await bob.ask("PUT", f"/workflows/{workflow}/like")
            await bob.post(f"/workflows/{workflow}/comments", {"text": f"Nice, @{ann.name}."})
            await give(own, bob, Role.MODERATOR)
            await bob.post(f"/admin/reports/workflow/{workflow}/hide", {"reason": "Not foxes."})

            async def told() -> bool:
                return bool((await ann.get("/notifications"))["unread"] == 4)

            await eventually(told)
            page = await ann.get("/notifications")
            shaped(NoticePage, page)
            hidden, mentioned, liked, followed = page["items"]
            assert (hidden["kind"], hidden["reason"], hidden["by"]) == ("hidden", "Not foxes.", "")
            assert (mentioned["kind"], mentioned["by"]) == ("mentioned", bob.name)
            assert mentioned["comment"]["text"] == f"Nice, @{ann.name}."
            assert (liked["kind"], liked["by"], liked["workflow"]["name"]) == ("liked", "", "Foxes")
            assert (followed["kind"], followed["by"], followed["workflow"]) == ("followed", bob.name, None)
            assert (await bob.get("/notifications"))["items"] == []
            refused(await bob.ask("POST", f"/notifications/{hidden['id']}/read"), 404)
            await ann.post(f"/notifications/{liked['id']}/read")
            assert (await ann.get("/notifications"))["unread"] == 3
            await ann.post("/notifications/read", {"upto": mentioned["position"]})
            page = await ann.get("/notifications", params={"unread": True})
            assert [each["kind"] for each in page["items"]] == ["hidden"]
            await ann.post("/notifications/read", {})
            assert (await ann.get("/notifications"))["unread"] == 0
            assert (await ann.post("/notifications/read", {}))["position"] == 0
            refused(await ann.ask("PUT", "/notifications/mail", json={"wanted": True}), 409)
            first = await ann.get("/notifications", params={"limit": 3})
            rest = await ann.get("/notifications", params={"limit": 3, "cursor": first["next_cursor"]})
            assert [each["kind"] for each in rest["items"]] == ["followed"]
