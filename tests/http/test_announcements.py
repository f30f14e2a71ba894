"""Announcements: told by administrators, with a reason, and read by everybody."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from adapters.http.announcements import AnnouncementList
from tests.http.administrators import administrator
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.test_workflows import shaped
from tests.http.whole import Whole

PATH = "/admin/announcements"


async def shown(person: Person, path: str, id: str) -> list[dict[str, Any]]:
    return [each for each in (await person.get(path))["items"] if each["id"] == id]


async def test_an_announcement_is_told_changed_and_ended(served: Whole, nobody: Person) -> None:
    async with administrator(served) as root:
        key = {"Idempotency-Key": "the announcement"}
        asked = {"text": "On Sunday we are away.", "severity": "warning", "reason": "New machines."}
        made = await root.post(PATH, asked, headers=key)
        assert await root.post(PATH, asked, headers=key) == made
        shaped(AnnouncementList, await nobody.get("/announcements"))
        (told,) = await shown(nobody, "/announcements", made["id"])
        assert (told["id"], told["text"], told["severity"]) == (made["id"], asked["text"], "warning")
        assert told["ends_at"] is None

        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        moved = await root.ask("PATCH", f"{PATH}/{made['id']}", json={"starts_at": later, "reason": "Later."})
        assert moved.status_code == 200
        assert not await shown(nobody, "/announcements", made["id"])
        (to_come,) = await shown(root, PATH, made["id"])
        assert to_come["text"] == asked["text"]
        wrong = {"ends_at": datetime.now(UTC).isoformat(), "reason": "Sooner."}
        (error,) = refused(await root.ask("PATCH", f"{PATH}/{made['id']}", json=wrong), 422)["errors"]
        assert error["field"] == "ends_at"
        naive = {"ends_at": "2030-01-01T00:00:00", "reason": "Whose time?"}
        refused(await root.ask("PATCH", f"{PATH}/{made['id']}", json=naive), 422)

        refused(await root.ask("DELETE", f"{PATH}/{made['id']}"), 422)
        gone = await root.ask("DELETE", f"{PATH}/{made['id']}", params={"reason": "They are here."})
        assert gone.status_code == 200
        refused(await root.ask("DELETE", f"{PATH}/{made['id']}", params={"reason": "Again."}), 404)
        assert not await shown(root, PATH, made["id"])
        with psycopg.connect(served.database.url) as connection:
            acts = connection.execute(
                "SELECT topic, actor FROM log.events WHERE topic LIKE 'announcement.%%' AND actor = %s "
                "ORDER BY notification_id",
                (root.id,),
            ).fetchall()
        assert acts == [(f"announcement.{act}.v1", root.id) for act in ("posted", "changed", "ended")]
