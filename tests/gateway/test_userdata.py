"""What an editor keeps: settings, files, and workflows, each save of which is a version."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.http.person import GRAPH, Person

DRAWN: dict[str, Any] = {"nodes": [{"id": 7, "type": "Strange"}], "links": [], "version": 0.4}
TEXT = {"content-type": "text/plain;charset=UTF-8"}


async def ask(person: Person, method: str, path: str, **request: Any) -> httpx.Response:
    return await person.http.request(method, f"/comfy/api{path}", **request)


async def put(person: Person, path: str, body: Any, **asked: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await ask(
        person, "POST", f"/userdata/{quote(path, safe='')}", content=content, params=asked, headers=TEXT
    )


async def names(person: Person, folder: str = "workflows") -> list[str]:
    answer = await ask(person, "GET", "/userdata", params={"dir": folder, "recurse": "true"})
    return sorted(answer.json()) if answer.status_code == 200 else []


async def test_settings_are_kept_for_their_account(ann: Person, bob: Person) -> None:
    assert (await ask(ann, "GET", "/users")).json() == {"storage": "server", "migrated": True}
    assert (await ask(ann, "GET", "/settings")).json() == {}
    assert (await ask(ann, "GET", "/settings/Comfy.Never")).json() is None
    for value in (True, None, "dark", {"a": [1, 2.5, "Größe"]}, "x" * 20_000):
        answer = await ask(ann, "POST", "/settings/Comfy.One", content=json.dumps(value), headers=TEXT)
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await ask(ann, "GET", "/settings/Comfy.One")).json() == value
    await ask(ann, "POST", "/settings", json={"Comfy.Two": 2, "Comfy/Three": [3]})
    assert (await ask(ann, "GET", "/settings")).json() == {
        "Comfy.One": "x" * 20_000,
        "Comfy.Two": 2,
        "Comfy/Three": [3],
    }
    assert (await ask(ann, "GET", "/settings/Comfy%2FThree")).json() == [3]
    assert (await ask(bob, "GET", "/settings")).json() == {}
    wrong: dict[str, tuple[bytes, int]] = {
        "/settings/x": (b"{broken", 400),
        "/settings/y": (b"", 400),
        "/settings": (b"[1]", 400),
        f"/settings/{'x' * 300}": (b"1", 400),
        "/settings/z": (b'"' + b"x" * (1024 * 1024) + b'"', 413),
    }
    for path, (body, status) in wrong.items():
        assert (await ask(ann, "POST", path, content=body, headers=TEXT)).status_code == status, path
    assert len((await ask(ann, "GET", "/settings")).json()) == 3


async def test_an_editor_that_sets_much_at_once_loses_nothing(ann: Person) -> None:
    wishes = (ask(ann, "POST", f"/settings/Comfy.{number}", json=number) for number in range(30))
    assert {answer.status_code for answer in await asyncio.gather(*wishes)} == {200}
    found = (await ask(ann, "GET", "/settings")).json()
    assert found == {f"Comfy.{number}": number for number in range(30)}


async def test_a_save_is_a_version_of_a_workflow_of_ours(ann: Person, bob: Person) -> None:
    path = "workflows/a/Fox.json"
    saved = await put(ann, path, DRAWN, overwrite="false", full_info="true")
    assert saved.status_code == 200
    assert saved.json().keys() == {"path", "size", "modified", "created"}
    assert (saved.json()["path"], await names(ann), await names(bob)) == (path, ["a/Fox.json"], [])
    assert (await put(ann, path, DRAWN, overwrite="false")).status_code == 409
    changed = DRAWN | {"extra": {"ds": 1}}
    assert (await put(ann, path, changed)).json() == path

    (workflow,) = (await ann.get("/workflows"))["items"]
    assert (workflow["name"], workflow["version"]) == ("a/Fox", 2)
    newest = await ann.get(f"/workflows/{workflow['id']}/versions/2")
    assert (newest["graph"], newest["editor_graph"], newest["requirements"]["node_classes"]) == (
        None,
        changed,
        [],
    )
    assert newest["unconverted"]
    refusal = await ann.ask("POST", f"/workflows/{workflow['id']}/runs", json={})
    assert (refusal.status_code, "cannot be run" in refusal.json()["detail"]) == (409, True)
    assert (await ask(ann, "GET", "/userdata/workflows%2Fa%2FFox.json")).json() == changed
    assert (await ask(bob, "GET", "/userdata/workflows%2Fa%2FFox.json")).status_code == 404

    await ann.post(f"/workflows/{workflow['id']}/versions/1/restore", {})
    assert (await ask(ann, "GET", "/userdata/workflows%2Fa%2FFox.json")).json() == DRAWN
    await ann.ask("PATCH", f"/workflows/{workflow['id']}", json={"name": "Vixen"})
    assert await names(ann) == ["Vixen.json"]


async def test_a_workflow_that_came_without_a_drawing_is_drawn(ann: Person) -> None:
    workflow = await ann.workflow("Blue")
    drawing = (await ask(ann, "GET", "/userdata/workflows%2FBlue.json")).json()
    assert ([node["type"] for node in drawing["nodes"]], drawing["id"]) == (
        ["EmptyImage", "SaveImage"],
        workflow,
    )
    assert [wire[1:5] for wire in drawing["links"]] == [[1, 0, 2, 0]]
    await put(ann, "workflows/Blue.json", drawing)
    assert (await ann.get(f"/workflows/{workflow}"))["editor_graph"] == drawing


async def test_a_workflow_is_moved_and_thrown_away(ann: Person) -> None:
    for name in ("one", "two", "three"):
        await put(ann, f"workflows/{name}.json", DRAWN | {"extra": {"name": name}})
    moving = "/userdata/workflows%2Fone.json/move/workflows%2Fdeep%2Fone.json"
    assert (await ask(ann, "POST", moving, params={"overwrite": "false"})).json() == "workflows/deep/one.json"
    assert (await ask(ann, "POST", moving)).status_code == 404
    taken = "/userdata/workflows%2Ftwo.json/move/workflows%2Fthree.json"
    assert (await ask(ann, "POST", taken, params={"overwrite": "false"})).status_code == 409
    moved = await ask(ann, "POST", taken, params={"overwrite": "true", "full_info": "true"})
    assert moved.json()["path"] == "workflows/three.json"
    assert (await ask(ann, "GET", "/userdata/workflows%2Fthree.json")).json()["extra"] == {"name": "two"}
    assert await names(ann) == ["deep/one.json", "three.json"]
    assert len((await ann.get("/workflows/trash"))["items"]) == 1

    gone = await ask(ann, "DELETE", "/userdata/workflows%2Fthree.json")
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await ask(ann, "DELETE", "/userdata/workflows%2Fthree.json")).status_code == 404
    assert {each["workflow"]["name"] for each in (await ann.get("/workflows/trash"))["items"]} == {"three"}
    assert (
        await ask(ann, "POST", "/userdata/workflows%2Fdeep%2Fone.json/move/kept.json")
    ).json() == "kept.json"
    assert (await names(ann), (await ask(ann, "GET", "/userdata/kept.json")).json()["extra"]) == (
        [],
        {"name": "one"},
    )
    assert (await ask(ann, "POST", "/userdata/kept.json/move/workflows%2Fback.json")).status_code == 200
    assert (await names(ann), (await ask(ann, "GET", "/userdata/kept.json")).status_code) == (
        ["back.json"],
        404,
    )


async def test_other_files_are_kept_as_they_are(ann: Person, bob: Person) -> None:
    css, index = b"body { color: red }", b'{"favorites":["workflows/a.json"]}'
    assert (await put(ann, "user.css", css)).json() == "user.css"
    assert (await put(ann, "workflows/.index.json", index)).status_code == 200
    assert (await put(ann, "subgraphs/a/b.json", {"x": 1})).status_code == 200
    seen = await ask(ann, "GET", "/userdata/user.css")
    assert (seen.content, seen.headers["content-type"]) == (css, "text/css")
    assert (await ask(ann, "GET", "/userdata/workflows%2F.index.json")).content == index
    assert (await ask(bob, "GET", "/userdata/user.css")).status_code == 404

    flat = {"dir": "subgraphs", "split": "true"}
    assert (await ask(ann, "GET", "/userdata", params=flat)).json() == []
    assert (await ask(ann, "GET", "/userdata", params=flat | {"recurse": "true"})).json() == [
        ["a/b.json", "a", "b.json"]
    ]
    assert (await ask(ann, "GET", "/userdata", params={"dir": "nope"})).status_code == 404
    assert (await ask(ann, "GET", "/userdata")).status_code == 400
    second = (await ask(ann, "GET", "/v2/userdata")).json()
    assert [(each["type"], each["path"]) for each in second] == [
        ("directory", "subgraphs/a"),
        ("directory", "subgraphs"),
        ("directory", "workflows"),
        ("file", "workflows/.index.json"),
        ("file", "subgraphs/a/b.json"),
        ("file", "user.css"),
    ]
    below = (await ask(ann, "GET", "/v2/userdata", params={"path": "subgraphs"})).json()
    assert [each["path"] for each in below] == ["subgraphs/a", "subgraphs/a/b.json"]
    for path, status in (("nope", 404), ("user.css", 400), ("../x", 400)):
        assert (await ask(ann, "GET", "/v2/userdata", params={"path": path})).status_code == status
    assert (await ask(ann, "DELETE", "/userdata/user.css")).status_code == 204
    assert (await ask(ann, "GET", "/userdata/user.css")).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("../x.json", b"{}", 403),
        ("workflows/../../x.json", b"{}", 403),
        ("..\\x", b"{}", 403),
        ("/etc/passwd", b"{}", 403),
        ("x\0y", b"{}", 400),
        ("x\ny", b"{}", 400),
        ("a/", b"{}", 400),
        ("x" * 300, b"{}", 400),
        ("a/" * 20 + "x", b"{}", 400),
        ("workflows/ x.json", json.dumps(DRAWN).encode(), 400),
        ("workflows/x.json", b"{broken", 400),
        ("workflows/x.json", json.dumps(GRAPH).encode(), 400),
        ("workflows/x.json", b'{"nodes":[],"a":' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
        ("x.bin", b"x" * (9 * 1024 * 1024), 413),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
async def test_what_cannot_be_kept_is_refused(path: str, body: bytes, status: int, ann: Person) -> None:
    answer = await put(ann, path, body)
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True)
    assert (await ask(ann, "GET", "/v2/userdata")).json() == []
