"""Workflows out of files, over HTTP."""

import io
from typing import Any

import msgspec
from PIL import Image, PngImagePlugin

from tests.http.person import GRAPH, Person, png
from tests.http.problems import refused

DRAWN = {"nodes": [{"id": 1, "type": "EmptyImage"}], "links": [], "version": 0.4}


def made_by_comfyui() -> bytes:
    texts, body = PngImagePlugin.PngInfo(), io.BytesIO()
    texts.add_text("prompt", msgspec.json.encode(GRAPH).decode())
    texts.add_text("workflow", msgspec.json.encode(DRAWN).decode())
    Image.new("RGB", (8, 8)).save(body, "PNG", pnginfo=texts)
    return body.getvalue()


def form(body: bytes, name: str = "a.json") -> dict[str, Any]:
    return {"files": {"file": (name, body, "application/octet-stream")}}


async def test_a_picture_brings_both_graphs(ann: Person) -> None:
    answer = await ann.ask("POST", "/workflows/import", **form(made_by_comfyui(), "C:\\pics\\Blue ✓.png"))
    assert answer.status_code == 201, answer.text
    shown = await ann.get(f"/workflows/{answer.json()['id']}")
    assert (shown["name"], shown["graph"], shown["editor_graph"]) == ("Blue ✓", GRAPH, DRAWN)


async def test_json_is_imported_under_the_name_that_is_asked_for(ann: Person) -> None:
    for name, file in (("Mine", "a.json"), ("", "a.b.json"), ("", ".json"), ("", "..")):
        query = f"?name={name}" if name else ""
        answer = await ann.ask("POST", f"/workflows/import{query}", **form(msgspec.json.encode(GRAPH), file))
        assert answer.status_code == 201, answer.text
        shown = await ann.get(f"/workflows/{answer.json()['id']}")
        assert shown["graph"] == GRAPH
        assert shown["name"] == (name or ("a.b" if file == "a.b.json" else shown["name"]))


async def test_imported_twice_with_one_key_it_is_there_once(ann: Person) -> None:
    key = {"Idempotency-Key": "once"}
    content, kind = _encoded(form(made_by_comfyui()))
    headers = key | {"Content-Type": kind}
    first = await ann.ask("POST", "/workflows/import", content=content, headers=headers)
    again = await ann.ask("POST", "/workflows/import", content=content, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]


async def test_files_without_a_workflow_are_refused(ann: Person) -> None:
    for body in (b"", b"{", png(), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0 a jpeg"):
        problem = refused(await ann.ask("POST", "/workflows/import", **form(body)), 422)
        assert problem["errors"][0]["field"] == "file"
    wrong = refused(await ann.ask("POST", "/workflows/import", **form(b'{"1": {"inputs": {}}}')), 422)
    assert wrong["errors"][0]["field"] == "graph.1.class_type"
    refused(await ann.ask("POST", "/workflows/import", json={}), 415)
    refused(await ann.ask("POST", "/workflows/import", files={"a": ("a", b"1"), "b": ("b", b"2")}), 400)
    refused(await ann.ask("POST", "/workflows/import", **form(b" " * (33 << 20))), 413)


async def test_a_stranger_imports_nothing(nobody: Person) -> None:
    refused(await nobody.ask("POST", "/workflows/import", **form(made_by_comfyui())), 401)


def _encoded(files: dict[str, Any]) -> tuple[bytes, str]:
    name, body, _ = files["files"]["file"]
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    return head + body + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
