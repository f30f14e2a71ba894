"""LoRAs taken in: whole or in pieces, over connections that break; and what is never taken."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.http.log import deeds
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.whole import Whole
from tests.loras.files import WRONG, lora

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}
MARKS = iter(range(10**9))


def fresh(**changes: Any) -> bytes:
    """A LoRA that nobody has yet."""
    return lora(mark=next(MARKS), **changes)


def metadata(**said: str) -> str:
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in said.items())


def sent(file: bytes, name: str = "soft.safetensors", **fields: str) -> dict[str, Any]:
    return {"files": {"file": (name, file, "application/octet-stream")}, "data": fields}


async def begun(person: Person, size: int, **said: str) -> str:
    """Where the upload is, below /api/v1."""
    said = {"filename": "soft.safetensors"} | said
    headers = TUS | {"Upload-Length": str(size), "Upload-Metadata": metadata(**said)}
    answer = await person.ask("POST", "/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"].partition("/api/v1")[2]


async def piece(person: Person, at: str, offset: int, body: bytes, **headers: str) -> httpx.Response:
    more = {"Upload-Offset": str(offset)} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await person.ask("PATCH", at, headers=PIECE | more, content=body)


def traces(whole: Whole, person: Person) -> list[Any]:
    """Everything that is left of somebody's uploads and LoRAs."""
    with psycopg.connect(whole.database.url) as connection:
        rows = connection.execute("SELECT id FROM work.uploads WHERE account = %s", (person.id,)).fetchall()
    data, ids = whole.settings.data, {str(id) for (id,) in rows}
    parts = [path.name for path in (data / "uploads").iterdir() if path.stem in ids]
    named = list((data / "objects" / f"user-{person.id}").rglob("*"))
    return [*rows, *parts, *named]


def unclaimed(whole: Whole) -> set[str]:
    return {path.name for path in (whole.settings.data / "uploads").iterdir()}


async def test_a_lora_is_uploaded_in_one_go(served: Whole, ann: Person) -> None:
    file = fresh(metadata={"modelspec.trigger_phrase": "soft light"})
    made = (
        await ann.ask("POST", "/loras", **sent(file, name="Größe.safetensors", description="Soft."))
    ).json()
    ann.seen = made["position"]
    shown = await ann.get(f"/loras/{made['id']}")
    digest = hashlib.sha256(file).hexdigest()
    assert shown["name"] == "Größe"
    assert shown["file"] == f"Gr__e-{digest}.safetensors"
    assert shown["graph_name"] == f"user-{ann.id}/{shown['file']}"
    assert (shown["sha256"], shown["size_bytes"]) == (digest, len(file))
    assert (shown["base_model"], shown["trigger_words"]) == ("sdxl", ["soft light"])
    assert (shown["rank"], shown["dtype"], shown["tensors"]) == (4, "F16", 3)
    objects = served.settings.data / "objects"
    assert (objects / f"user-{ann.id}" / "loras" / shown["file"]).read_bytes() == file
    assert (objects / digest[:2] / digest).read_bytes() == file


async def test_the_fields_of_the_form_may_come_in_any_order(ann: Person) -> None:
    file = fresh()
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % part
        for part in (
            (b"file", b'; filename="a.safetensors"', file),
            (b"name", b"", b"Fog"),
            (b"sha256", b"", hashlib.sha256(file).hexdigest().encode()),
        )
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await ann.ask("POST", "/loras", content=body + b"--x--\r\n", headers=headers)
    assert answer.status_code == 201, answer.text
    assert (await ann.get(f"/loras/{answer.json()['id']}"))["name"] == "Fog"


async def test_the_same_bytes_are_one_lora_however_often_they_come(served: Whole, ann: Person) -> None:
    file = fresh()
    first = (await ann.ask("POST", "/loras", **sent(file))).json()
    before = deeds(served)
    again = (await ann.ask("POST", "/loras", **sent(file, name="other.safetensors"))).json()
    assert (again["id"], again["position"]) == (first["id"], 0)
    assert (
        await ann.ask("POST", "/loras", **sent(file))
    ).json() == again  # as clients do that heard no answer
    at = await begun(ann, len(file))
    done = await piece(ann, at, 0, file)
    assert done.headers["content-location"].endswith(first["id"])
    refused(await ann.ask("POST", "/loras", **sent(fresh())), 409)  # the name is taken by other bytes
    assert deeds(served) == before


async def test_two_accounts_have_the_same_bytes_and_each_its_own_lora(
    served: Whole, ann: Person, bob: Person
) -> None:
    file = fresh()
    mine = (await ann.ask("POST", "/loras", **sent(file))).json()["id"]
    his = (await bob.ask("POST", "/loras", **sent(file))).json()["id"]
    assert mine != his
    digest = hashlib.sha256(file).hexdigest()
    assert (served.settings.data / "objects" / digest[:2] / digest).stat().st_nlink == 3


@pytest.mark.parametrize("name", WRONG)
async def test_a_file_that_is_no_lora_is_refused_and_leaves_nothing(
    served: Whole, ann: Person, name: str
) -> None:
    before, parts = deeds(served), unclaimed(served)
    problem = refused(await ann.ask("POST", "/loras", **sent(WRONG[name])), 422)
    assert [error["field"] for error in problem["errors"]] == ["file"]
    at = await begun(ann, len(WRONG[name]) or 1)
    refused(await piece(ann, at, 0, WRONG[name] or b"x"), 422)
    refused(await ann.ask("GET", at), 404)
    assert (deeds(served), traces(served, ann), unclaimed(served)) == (before, [], parts)


@pytest.mark.parametrize(
    "name",
    ["../../etc/x.safetensors", "a\x00b.safetensors", "a.ckpt", "C:\\a\\b.pt", "", "..", "a/b.safetensors"],
)
async def test_a_file_with_a_wrong_name_is_refused_before_a_byte_of_it_is_kept(
    served: Whole, ann: Person, name: str
) -> None:
    headers = TUS | {"Upload-Length": "10", "Upload-Metadata": metadata(filename=name, name="fine")}
    refused(await ann.ask("POST", "/uploads", headers=headers), 422)
    if "\x00" not in name and name:
        answer = await ann.ask("POST", "/loras", **sent(fresh(), name=name))
        assert answer.status_code in (201, 422)  # a form's parser may drop the path itself
        if answer.status_code == 201:
            shown = await ann.get(f"/loras/{answer.json()['id']}")
            assert "/" not in shown["file"] + shown["name"]
            return
    assert traces(served, ann) == []


@pytest.mark.parametrize("name", ["../up", "a/b", "nul\x00", ".hidden", " ", "x" * 101, "line\nbreak"])
async def test_a_lora_with_a_wrong_name_is_refused(served: Whole, ann: Person, name: str) -> None:
    problem = refused(await ann.ask("POST", "/loras", **sent(fresh(), **{"name": name})), 422)
    if name.strip():
        assert problem["errors"][0]["field"] == "name"
    assert traces(served, ann) == []


async def test_a_file_that_is_not_the_announced_one_is_refused(served: Whole, ann: Person) -> None:
    file, before = fresh(), deeds(served)
    refused(await ann.ask("POST", "/loras", **sent(file, sha256="0" * 64)), 422)
    at = await begun(ann, len(file), sha256="0" * 64)
    assert (await piece(ann, at, 0, file[:100])).status_code == 204
    refused(await piece(ann, at, 100, file[100:]), 422)
    assert (deeds(served), traces(served, ann)) == (before, [])


async def test_a_form_that_is_none_is_refused(served: Whole, ann: Person) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(await ann.ask("POST", "/loras", content=b"--x--\r\n", headers=headers), 422)
    refused(await ann.ask("POST", "/loras", content=b"nothing", headers=headers), 400)
    refused(await ann.ask("POST", "/loras", json={}), 415)
    refused(await ann.ask("POST", "/loras", **sent(fresh(), unknown="field")), 422)
    cut = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.safetensors"\r\n\r\n' + fresh()
    refused(await ann.ask("POST", "/loras", content=cut, headers=headers), 400)
    assert traces(served, ann) == []


async def test_an_upload_goes_on_where_it_broke_off(served: Whole, ann: Person) -> None:
    file = fresh(extra=3_000_000)
    at = await begun(ann, len(file), name="Fog", description="Grey.")

    async def breaking() -> AsyncIterator[bytes]:
        yield file[:2_000_000]
        raise ConnectionResetError

    headers = PIECE | {"Upload-Offset": "0", "Content-Length": str(len(file))}
    with pytest.raises(ConnectionResetError):
        await ann.http.patch(f"/api/v1{at}", headers=headers, content=breaking())
    async with asyncio.timeout(20):
        offset = 0
        while offset < 2_000_000:  # the server hears of it a moment later
            told = await ann.ask("HEAD", at, headers=TUS)
            offset = int(told.headers["upload-offset"])
    assert (offset, told.headers["upload-length"]) == (2_000_000, str(len(file)))
    assert told.headers["cache-control"] == "no-store"
    assert "GMT" in told.headers["upload-expires"]
    async with asyncio.timeout(20):
        while (last := await piece(ann, at, offset, file[offset:])).status_code == 409:
            await asyncio.sleep(0.01)  # the broken request is still being cleared away
    assert last.status_code == 204, last.text
    id = last.headers["content-location"].rpartition("/")[2]
    position = int(last.headers["position"])
    shown = await ann.get(f"/loras/{id}")
    assert (shown["name"], shown["description"]) == ("Fog", "Grey.")
    assert shown["sha256"] == hashlib.sha256(file).hexdigest()
    told = (await ann.ask("GET", at)).json()
    assert (told["lora"], told["offset"], told["position"]) == (id, len(file), position)
    assert f"{told['id']}.part" not in unclaimed(served)


async def test_bytes_may_come_along_with_the_beginning(ann: Person) -> None:
    file = fresh()
    headers = PIECE | {"Upload-Length": str(len(file)), "Upload-Metadata": metadata(filename="b.safetensors")}
    answer = await ann.ask("POST", "/uploads", headers=headers, content=file[:500])
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "500")
    at = answer.headers["location"].partition("/api/v1")[2]
    assert (await piece(ann, at, 500, file[500:])).headers["content-location"]


async def test_a_piece_with_a_wrong_checksum_is_as_if_it_had_not_come(ann: Person) -> None:
    file = fresh()
    at = await begun(ann, len(file))
    for number, name in enumerate(("sha1", "md5", "sha256")):
        offset, body = number * 300, file[number * 300 : number * 300 + 300]
        right = base64.b64encode(hashlib.new(name, body).digest()).decode()
        wrong = base64.b64encode(hashlib.new(name, b"other").digest()).decode()
        refused(await piece(ann, at, offset, body, Upload_Checksum=f"{name} {wrong}"), 460)
        assert (await ann.ask("HEAD", at)).headers["upload-offset"] == str(offset)
        assert (await piece(ann, at, offset, body, Upload_Checksum=f"{name} {right}")).status_code == 204
    refused(await piece(ann, at, 900, file[900:], Upload_Checksum="crc32 AAAA"), 400)
    refused(await piece(ann, at, 900, file[900:], Upload_Checksum="sha1 ???"), 400)
    assert (await piece(ann, at, 900, file[900:])).headers["content-location"]


async def test_pieces_follow_one_another(ann: Person) -> None:
    file = fresh()
    at = await begun(ann, len(file))
    refused(await piece(ann, at, 5, file[5:]), 409)
    assert (await piece(ann, at, 0, file[:50])).headers["upload-offset"] == "50"
    refused(await piece(ann, at, 0, file[:50]), 409)
    refused(await piece(ann, at, 50, file[50:] + b"too much"), 413)
    assert (await piece(ann, at, 50, b"")).headers["upload-offset"] == "50"
    refused(await ann.ask("PATCH", at, headers=TUS | {"Upload-Offset": "50"}, content=b"x"), 415)
    refused(await ann.ask("PATCH", at, headers={**PIECE, "Tus-Resumable": "0.2.2"}, content=b"x"), 412)
    refused(await ann.ask("PATCH", at, headers=PIECE, content=b"x"), 400)
    override = PIECE | {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "50"}
    assert (await ann.ask("POST", at, headers=override, content=file[50:])).headers["content-location"]
    refused(await piece(ann, at, len(file), b""), 409)


async def test_an_upload_that_is_ended_leaves_nothing(served: Whole, ann: Person) -> None:
    parts = unclaimed(served)
    file = fresh()
    at = await begun(ann, len(file))
    await piece(ann, at, 0, file[:600])
    assert len(traces(served, ann)) == 2
    assert (await ann.ask("DELETE", at, headers=TUS)).status_code == 204
    assert (await ann.ask("HEAD", at)).status_code == 404
    refused(await ann.ask("DELETE", at, headers=TUS), 404)
    assert (traces(served, ann), unclaimed(served)) == ([], parts)


async def test_beginning_twice_with_one_key_begins_once(ann: Person) -> None:
    said = TUS | {"Upload-Length": "5000", "Upload-Metadata": metadata(filename="a.safetensors")}
    key = {"Idempotency-Key": "one"}
    first, again = [await ann.ask("POST", "/uploads", headers=said | key) for _ in range(2)]
    assert first.headers["location"] == again.headers["location"]
    refused(await ann.ask("POST", "/uploads", headers=said | key | {"Upload-Length": "6000"}), 409)


async def test_what_the_server_can_do_is_told(ann: Person) -> None:
    told = (await ann.http.options("/api/v1/uploads")).headers
    assert told["tus-version"] == "1.0.0"
    assert {"creation", "creation-with-upload", "checksum", "termination", "expiration"} == set(
        told["tus-extension"].split(",")
    )
    assert int(told["tus-max-size"]) == 10 * 2**30
    assert "sha1" in told["tus-checksum-algorithm"].split(",")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upload-Length": "-1"},
        {"Upload-Length": "many"},
        {"Upload-Defer-Length": "1"},
        {"Upload-Length": "10", "Upload-Metadata": "filename ???"},
    ],
)
async def test_an_upload_that_does_not_say_what_it_is_is_refused(
    ann: Person, headers: dict[str, str]
) -> None:
    refused(await ann.ask("POST", "/uploads", headers=TUS | headers), 400)
    refused(await ann.ask("POST", "/uploads", headers=headers), 400, 412)


async def test_more_than_a_lora_may_have_is_refused_at_once(served: Whole, ann: Person) -> None:
    said = {"Upload-Length": str(10 * 2**30 + 1), "Upload-Metadata": metadata(filename="a.safetensors")}
    refused(await ann.ask("POST", "/uploads", headers=TUS | said), 413)
    assert traces(served, ann) == []


async def test_uploads_under_way_keep_their_room_in_the_quota(served: Whole, ann: Person) -> None:
    """A hundred GiB in all: ten of the largest, and no more."""
    begin = [await begun(ann, 10 * 2**30) for _ in range(10)]
    said = {"Upload-Length": "1000", "Upload-Metadata": metadata(filename="a.safetensors")}
    problem = refused(await ann.ask("POST", "/uploads", headers=TUS | said), 409)
    assert "room" in problem["detail"]
    refused(await ann.ask("POST", "/loras", **sent(fresh())), 409)
    await ann.ask("DELETE", begin[0], headers=TUS)
    assert (await ann.ask("POST", "/loras", **sent(fresh()))).status_code == 201


async def test_uploads_that_begin_at_once_do_not_share_a_room(ann: Person) -> None:
    said = TUS | {"Upload-Length": str(10 * 2**30), "Upload-Metadata": metadata(filename="a.safetensors")}
    answers = await asyncio.gather(*(ann.ask("POST", "/uploads", headers=said) for _ in range(14)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 4


async def test_an_upload_is_nobody_elses(ann: Person, bob: Person, nobody: Person) -> None:
    at = await begun(ann, 5_000)
    for method in ("HEAD", "GET", "DELETE"):
        refused_quietly = await bob.ask(method, at, headers=TUS)
        assert refused_quietly.status_code == 404
    refused(await piece(bob, at, 0, b"x"), 404)
    refused(await piece(nobody, at, 0, b"x"), 401)
