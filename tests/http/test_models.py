"""Models at the door: registered by administrators, shown to whom they are for, used by nobody else."""

import asyncio
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from adapters.http.models import AdminModelList, ModelPage
from tests.http.administrators import administrator
from tests.http.person import PARAMETERS, Person
from tests.http.problems import refused
from tests.http.test_workflows import shaped
from tests.http.whole import Whole

PATIENCE_S = 20.0


@pytest.fixture
def name() -> str:
    return f"m-{uuid4().hex}.safetensors"


async def listed(person: Person, name: str) -> list[dict[str, Any]]:
    """What the listing says of one model."""
    page = await person.get("/models", params={"type": "checkpoints", "cursor": f"checkpoints/{name[:-1]}"})
    shaped(ModelPage, page)
    return [each for each in page["items"] if each["name"] == name]


async def test_a_registered_model_is_for_those_whom_it_is_meant_for(
    served: Whole, ann: Person, bob: Person, name: str
) -> None:
    async with administrator(served) as root:
        asked = {"type": "checkpoints", "name": name, "description": "Soft.", "base_model": "sdxl"}
        asked |= {
            "trigger_words": ["soft light"],
            "audience": {"accounts": [ann.name]},
            "reason": "Licensed.",
        }
        made = await root.post("/admin/models", asked)
        refused(await root.ask("POST", "/admin/models", json=asked), 409)

        (shown,) = await listed(ann, name)
        assert (shown["description"], shown["base_model"]) == ("Soft.", "sdxl")
        assert (shown["trigger_words"], shown["backends"]) == (["soft light"], [])
        assert await listed(bob, name) == await listed(root, name) == []
        wanted = PARAMETERS | {"checkpoint": name}
        await ann.post("/generate", wanted)
        for path, body in (
            ("/generate", wanted),
            ("/generate/sync", wanted),
            ("/generate/batch", {"runs": [wanted]}),
            ("/generate/grid", {"parameters": wanted, "vary": {"cfg": [1, 2]}}),
        ):
            (error,) = refused(await bob.ask("POST", path, json=body), 422)["errors"]
            assert error["field"].endswith("checkpoint")
            assert error["reason"] == f"The model {name} is on no backend."

        path = f"/admin/models/{made['id']}"
        changed = await root.ask("PATCH", path, json={"audience": None, "reason": "Bought for all."})
        assert changed.status_code == 200
        assert (await listed(bob, name))[0]["description"] == "Soft."
        await bob.post("/generate", wanted)
        await root.ask("PATCH", path, json={"active": False, "reason": "It is broken."})
        refused(await ann.ask("POST", "/generate", json=wanted), 422)
        assert await listed(ann, name) == []

        everything = await root.get("/admin/models")
        shaped(AdminModelList, everything)
        (own,) = [each for each in everything["items"] if each["id"] == made["id"]]
        assert (own["active"], own["audience"], own["name"]) == (False, None, name)
        refused(await root.ask("DELETE", path), 422)
        await root.ask("DELETE", path, params={"reason": "It is deleted."})
        refused(await root.ask("PATCH", path, json={"active": True, "reason": "why"}), 404)

    with psycopg.connect(served.database.url) as connection:
        rows = connection.execute(
            "SELECT topic, convert_from(state, 'UTF8')::jsonb->>'reason' FROM log.events"
            " WHERE topic LIKE %s AND convert_from(state, 'UTF8')::jsonb->>'model' = %s"
            " ORDER BY notification_id",
            ("model.%", made["id"]),
        ).fetchall()
    assert rows == [
        ("model.registered.v1", "Licensed."),
        ("model.changed.v1", "Bought for all."),
        ("model.changed.v1", "It is broken."),
        ("model.removed.v1", "It is deleted."),
    ]


async def test_bad_wishes_are_refused_by_name(served: Whole, name: str) -> None:
    good = {"type": "checkpoints", "name": name, "reason": "why"}
    async with administrator(served) as root:
        for bad, field in (
            ({"type": "a b"}, "type"),
            ({"name": "../a"}, "name"),
            ({"reason": ""}, "reason"),
            ({"audience": {}}, "audience"),
            ({"audience": {"roles": ["king"]}}, "audience.roles[0]"),
            ({"audience": {"accounts": ["nobody at all"]}}, "audience.accounts.0"),
            ({"trigger_words": ["a\tb"]}, "trigger_words.0"),
            ({"unknown": 1}, "unknown"),
        ):
            errors = refused(await root.ask("POST", "/admin/models", json=good | bad), 422)["errors"]
            assert [each["field"] for each in errors] == [field]
        missing = f"/admin/models/{uuid4()}"
        refused(await root.ask("PATCH", missing, json={"active": True, "reason": "why"}), 404)
        refused(await root.ask("DELETE", missing, params={"reason": "why"}), 404)
        assert not [each for each in (await root.get("/admin/models"))["items"] if each["name"] == name]


async def test_pages_go_on_where_they_ended(served: Whole, ann: Person) -> None:
    type = f"t-{uuid4().hex[:8]}"
    async with administrator(served) as root:
        for letter in "cab":
            await root.post("/admin/models", {"type": type, "name": letter, "reason": "why"})
    found, cursor = [], None
    async with asyncio.timeout(PATIENCE_S):
        while True:
            params = {"type": type, "limit": 1} | ({"cursor": cursor} if cursor else {})
            page = await ann.get("/models", params=params)
            found += [each["name"] for each in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
    assert found == ["a", "b", "c"]
