"""Blocked words and sensitive things over HTTP."""

from uuid import uuid4

from domain.account import Role
from tests.http.administrators import administrator, give
from tests.http.log import deeds
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.whole import Whole


async def test_blocked_words_stand_in_nothing_that_everybody_reads(served: Whole, ann: Person) -> None:
    word = f"bad{uuid4().hex}"
    shown, kept = await ann.workflow("Fine", public=True), await ann.workflow(f"Private {word}")
    comment = (await ann.post(f"/workflows/{shown}/comments", {"text": "Fine."}))["id"]
    async with administrator(served) as admin:
        listed = (await admin.get("/admin/words"))["blocked"]
        await admin.ask("PUT", "/admin/words", json={"blocked": [*listed, word.upper()], "reason": "Rude."})
        assert word in (await admin.get("/admin/words"))["blocked"]
        refused(await ann.ask("GET", "/admin/words"), 403)
        refused(await admin.ask("PUT", "/admin/words", json={"blocked": [""], "reason": "Rude."}), 422)
        before = deeds(served)
        for method, path, body, field in (
            ("PATCH", f"/workflows/{shown}", {"description": f"So {word}!"}, "description"),
            ("PATCH", f"/workflows/{shown}", {"tags": [word]}, "tags"),
            ("PATCH", f"/workflows/{kept}", {"public": True}, "name"),
            ("POST", f"/workflows/{shown}/comments", {"text": word}, "text"),
            ("PATCH", f"/comments/{comment}", {"text": word.title()}, "text"),
            ("POST", "/collections", {"name": word, "public": True}, "name"),
            ("PATCH", "/accounts/me", {"bio": f"I am {word}."}, "bio"),
        ):
            problem = refused(await ann.ask(method, path, json=body), 422)
            (error,) = problem["errors"]
            assert error["field"] == field
            assert word in error["reason"]
        assert deeds(served) == before
        assert (await ann.ask("PATCH", f"/workflows/{kept}", json={"description": word})).is_success
        await admin.ask("PUT", "/admin/words", json={"blocked": listed, "reason": "Enough."})
        assert (await ann.ask("PATCH", f"/workflows/{kept}", json={"public": True})).is_success


async def test_sensitive_things_are_found_by_those_who_ask_for_them(
    served: Whole, ann: Person, bob: Person, nobody: Person
) -> None:
    word = uuid4().hex
    workflow = await ann.workflow(f"Blood {word}", public=True)

    async def found(**asked: bool) -> int:
        nobody.seen = max(ann.seen, bob.seen)
        return len((await nobody.get("/gallery", params={"q": word, **asked}))["items"])

    assert await found() == 1
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"sensitive": True})
    assert (await found(), await found(sensitive=True)) == (0, 1)
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"sensitive": False})
    assert await found() == 1
    await give(served, bob, Role.MODERATOR)
    mark = f"/admin/reports/workflow/{workflow}/mark"
    assert (await bob.post(mark, {"sensitive": True, "reason": "Blood."}))["position"] > 0
    assert (await found(), await found(sensitive=True)) == (0, 1)
    refused(await ann.ask("PATCH", f"/workflows/{workflow}", json={"sensitive": False}), 409)
    refused(await ann.ask("POST", mark, json={"sensitive": False, "reason": "No."}), 403)
    comment = f"/admin/reports/comment/{workflow}/mark"
    refused(await bob.ask("POST", comment, json={"sensitive": True, "reason": "No."}), 422)
    assert (await nobody.get(f"/workflows/{workflow}"))["sensitive"] is True
