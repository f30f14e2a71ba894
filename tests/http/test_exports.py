"""Everything about oneself, to take along."""

import hashlib
import io
import time
from typing import Any
from uuid import UUID, uuid4
from zipfile import ZipFile

import httpx
import msgspec
import psycopg
from msgspec.structs import replace

from infra.exporting import exporting
from tests.http.errands import drawn, errand, eventually, value
from tests.http.person import FORM, GRAPH, Person, client, joined, png
from tests.http.problems import refused
from tests.http.test_erasure import erased
from tests.http.test_uploads import fresh, sent
from tests.http.whole import Whole, beside


async def ready(person: Person) -> Any:
    shown: Any = None

    async def there() -> bool:
        nonlocal shown
        shown = await person.get("/accounts/me/export")
        assert shown["state"] != "failed", shown
        return bool(shown["state"] == "ready")

    await eventually(there)
    return shown


async def fetched(url: str) -> httpx.Response:
    async with client() as http:
        return await http.get(url)


async def opened(person: Person) -> dict[str, bytes]:
    answer = await fetched((await ready(person))["url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    with ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def test_an_export_holds_everything_of_one_and_nothing_of_others(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        other = GRAPH | {"3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
        workflow = await ann.workflow("Mine", editor_graph={"nodes": []})
        await ann.post(f"/workflows/{workflow}/versions", {"graph": other, "note": "more"})
        shown_by = {"image": ("a.png", png(30, 20), "image/png")}
        assert (await ann.ask("POST", f"/workflows/{workflow}/thumbnail", files=shown_by)).is_success
        shown = await bob.workflow("Bob's", public=True)
        await ann.run(shown)
        run = await drawn(own, ann, b"one picture", b"another")
        await drawn(own, bob, b"not hers")
        photo = await ann.upload(png(31, 17))
        template = (await ann.post("/templates", {"workflow": workflow, "version": 1, "form": FORM}))["id"]
        preset = (await ann.post("/presets", {"name": "Red", "values": {"color": 9}}))["id"]
        await bob.post("/presets", {"name": "His", "public": True})
        await bob.post("/templates", {"workflow": shown, "form": FORM, "public": True})
        await bob.upload(png(32, 17))
        lora = fresh()
        await ann.ask("POST", "/loras", **sent(lora, name="Mine.safetensors"))
        await bob.ask("POST", "/loras", **sent(fresh(), name="His.safetensors"))
        await ann.ask("PATCH", "/accounts/me", json={"bio": "Foxes.", "links": ["https://example.org/ann"]})
        await ann.ask("PUT", "/accounts/me/avatar", files={"image": ("me.png", png(), "image/png")})
        await ann.http.post("/comfy/settings/Comfy.One", json=[1])
        await ann.http.post("/comfy/userdata/a%2Fuser.css", content=b"body {}")
        asked = await ann.post("/accounts/me/export")
        assert (asked["state"], asked["url"]) == ("waiting", None)
        assert (await ann.post("/accounts/me/export"))["id"] == asked["id"]
        with beside(errand(lambda: exporting(own.settings))):
            files = await opened(ann)
        read = {name: msgspec.json.decode(body) for name, body in files.items() if name.endswith(".json")}
        described = read["account.json"]
        assert (described["id"], described["username"], described["email"]) == (ann.id, ann.name, ann.email)
        assert len(described["sessions"]) == 1
        profile = {"display_name": "", "bio": "Foxes.", "links": ["https://example.org/ann"]}
        assert read["profile.json"] == profile
        assert files["avatar.webp"][8:12] == b"WEBP"
        assert read["api_keys.json"] == read["webhooks.json"] == []
        assert {each["name"] for each in read["workflows.json"]} == {"Mine", "A blue square"}
        assert [each["note"] for each in read["versions.json"] if each["workflow"] == workflow] == [
            "",
            "more",
        ]
        assert read[f"workflows/{workflow}/1.json"] == GRAPH
        assert read[f"workflows/{workflow}/1.editor.json"] == {"nodes": []}
        assert read[f"workflows/{workflow}/2.json"] == other
        assert files[f"workflows/{workflow}/30.webp"][8:12] == b"WEBP"
        assert len(read["runs.json"]) == 2
        assert [each["id"] for each in read["templates.json"]] == [template]
        assert [(each["id"], each["name"]) for each in read["presets.json"]] == [(preset, "Red")]
        assert read[f"presets/{preset}.json"] == {"values": {"color": 9}}
        assert read[f"templates/{template}.json"] == {"form": FORM, "graph": GRAPH}
        assert [each["id"] for each in read["inputs.json"]] == [photo["id"]]
        uploaded = hashlib.sha256(files[f"inputs/{photo['id']}.png"]).hexdigest()
        assert uploaded == photo["digest"]
        desk = read["desk.json"]
        assert (desk["settings"], desk["files"][0]["path"]) == ({"Comfy.One": [1]}, "a/user.css")
        assert files[desk["files"][0]["file"]] == b"body {}"
        (kept,) = read["loras.json"]
        assert kept["name"] == "Mine"
        assert files[f"loras/{kept['file']}"] == lora
        (told,) = [each for each in read["runs.json"] if each["id"] == run]
        assert [files[output["file"]] for output in told["outputs"]] == [b"one picture", b"another"]
        history = read["history.json"]
        (joining,) = [each for each in history if each["topic"].startswith("account.registered")]
        assert joining["data"] == {"account": ann.id, "username": ann.name}
        everything = value(
            own,
            "SELECT count(*) FROM log.events WHERE owner = %s AND notification_id <= %s",
            ann.id,
            history[-1]["position"],
        )
        assert len(history) == everything
        whole = b"".join(files.values())
        for foreign in (bob.name, bob.id, "not hers", "Bob's"):
            assert foreign.encode() not in whole


async def test_without_the_signature_an_export_is_nobodys(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        refused(await ann.ask("GET", "/accounts/me/export"), 404)
        await ann.post("/accounts/me/export")
        refused(await bob.ask("GET", "/accounts/me/export"), 404)
        with beside(errand(lambda: exporting(own.settings))):
            url = (await ready(ann))["url"]
        plain, _, signed = url.partition("?")
        for bad in (
            plain,
            f"{plain}?{signed}0",
            url.replace("expires=", "expires=9"),
            url.replace(plain.rpartition("/")[2], str(uuid4())),
        ):
            assert (await fetched(bad)).status_code == 404
        secrets, past = own.secrets, int(time.time()) - 1
        id = plain.rpartition("/")[2]
        old = f"{plain}?expires={past}&signature={secrets.export_signature(UUID(id), past)}"
        assert (await fetched(old)).status_code == 404
        assert (await fetched(url)).status_code == 200


async def test_the_same_request_sent_again_begins_no_other(own: Whole) -> None:
    key = {"Idempotency-Key": "once"}
    async with joined(own) as ann:
        asked = await ann.post("/accounts/me/export", headers=key)
        with beside(errand(lambda: exporting(own.settings))):
            await ready(ann)
            again = await ann.post("/accounts/me/export", headers=key)
            assert (again["id"], again["state"]) == (asked["id"], "ready")
            assert (await ann.post("/accounts/me/export"))["id"] != asked["id"]


async def test_an_export_goes_after_a_day_and_a_new_one_takes_the_place_of_the_last(own: Whole) -> None:
    folder = own.settings.data / "exports"
    async with joined(own) as ann:
        first = (await ann.post("/accounts/me/export"))["id"]
        with beside(errand(lambda: exporting(own.settings))):
            old = (await ready(ann))["url"]
            second = (await ann.post("/accounts/me/export"))["id"]
            assert first != second
            await ready(ann)
            await eventually(lambda: _is({path.name for path in folder.iterdir()} == {f"{second}.zip"}))
            assert (await fetched(old)).status_code == 404
            with psycopg.connect(own.database.url) as connection:
                connection.execute("UPDATE work.exports SET ended_at = now() - interval '25 hours'")
            await eventually(lambda: _is(not any(folder.iterdir())))
        refused(await ann.ask("GET", "/accounts/me/export"), 404)


async def test_what_somebody_died_building_is_built_again(own: Whole) -> None:
    async with joined(own) as ann:
        id = (await ann.post("/accounts/me/export"))["id"]
        with psycopg.connect(own.database.url) as connection:
            connection.execute("UPDATE work.exports SET state = 'building', done = 1, total = 9")
        folder = own.settings.data / "exports"
        folder.mkdir()
        (folder / f"{id}.partial").write_bytes(b"half a zip")
        with beside(errand(lambda: exporting(own.settings))):
            assert "account.json" in await opened(ann)
        assert [path.name for path in folder.iterdir()] == [f"{id}.zip"]


async def test_an_export_goes_with_its_account(own: Whole) -> None:
    folder = own.settings.data / "exports"
    async with joined(own) as ann, joined(own) as bob:
        await ann.post("/accounts/me/export")
        with beside(errand(lambda: exporting(own.settings))):
            url = (await ready(ann))["url"]
            await erased(ann)
            assert (await fetched(url)).status_code == 404
            await eventually(lambda: _is(not any(folder.iterdir())))
        await bob.post("/accounts/me/export")
        await erased(bob)  # it waits still
        with beside(errand(lambda: exporting(own.settings))):
            await eventually(lambda: _is(value(own, "SELECT count(*) FROM work.exports") == 0))
        assert not any(folder.iterdir())


async def test_where_there_is_no_room_it_is_said(own: Whole) -> None:
    async with joined(own) as ann:
        await ann.post("/accounts/me/export")
        (own.settings.data / "exports").write_text("a file where the folder should be")

        async def failed() -> bool:
            return bool((await ann.get("/accounts/me/export"))["state"] == "failed")

        with beside(errand(lambda: exporting(replace(own.settings)))):
            await eventually(failed)
        assert "room" in (await ann.get("/accounts/me/export"))["reason"]


async def _is(holds: bool) -> bool:
    return holds
