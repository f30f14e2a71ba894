"""Whatever is sent: a clear refusal, and nothing has changed."""

import json
from typing import Any

import pytest

from tests.http.log import contents, deeds
from tests.http.person import FORM, GRAPH, PARAMETERS, PASSWORD, Person
from tests.http.problems import refused
from tests.http.whole import Whole

DEEP = 100_000
SOME_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
GOOD: dict[str, dict[str, Any]] = {
    "/auth/register": {"username": "good-name", "email": "good@example.org", "password": PASSWORD},
    "/auth/login": {"login": "somebody", "password": PASSWORD},
    "/auth/refresh": {"refresh_token": "x"},
    "/workflows": {"name": "a", "graph": GRAPH},
    "/workflows/{w}/versions": {"graph": GRAPH},
    "/workflows/{w}/versions/1/restore": {"note": "as it was"},
    "/workflows/{w}/runs": {"priority": 5},
    "/runs": {"graph": GRAPH},
    "/runs/{w}/rerun": {"seed": 7, "priority": 5},
    "/generate": PARAMETERS,
    "/generate/sync?wait_s=0": PARAMETERS,
    "/generate/batch": {"runs": [PARAMETERS]},
    "/presets": {"name": "a"},
    "/templates": {"workflow": SOME_ID, "form": FORM},
    "/templates/{w}/versions": {"workflow": SOME_ID, "form": FORM},
    "/templates/plain_card/runs": {"values": {"text": "a"}, "priority": 5},
    "/generate/grid": {"parameters": PARAMETERS, "vary": {"cfg": [5, 7.5]}},
    "/workflows/{w}": {"name": "b"},
    "/webhooks": {"url": "https://example.org/hooks"},
    "/webhooks/{w}": {"description": "b"},
    "/webhooks/{w}/replay": {"after": 0},
}
"""Every route that reads a body, and one it would take."""
WITHOUT = {
    "/workflows/{w}/versions/1/restore",
    "/workflows/{w}/runs",
    "/runs/{w}/rerun",
    "/templates/plain_card/runs",
}
"""There the body may be left out."""


PATCHED = {"/workflows/{w}", "/webhooks/{w}"}


def method(path: str) -> str:
    return "PATCH" if path in PATCHED else "POST"


NO_JSON = {
    "cut off": b'{"name": "a", "graph": {',
    "one byte": b"{",
    "no json": b"name=a&graph=b",
    "single quotes": b"{'name': 'a'}",
    "trailing comma": b'{"name": "a",}',
    "two values": b"{} {}",
    "comment": b'{"name": "a" /* b */}',
    "not a number": b'{"name": NaN}',
    "infinity": b'{"name": Infinity}',
    "leading zero": b'{"priority": 01}',
    "invalid utf-8": b'{"name": "\xff\xfe"}',
    "utf-8 of a surrogate": b'{"name": "\xed\xa0\x80"}',
    "overlong utf-8": b'{"name": "\xc0\xaf"}',
    "utf-16": '{"name": "a"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name": "a"}',
    "raw nul": b'{"name": "a\x00b"}',
    "escaped nul": b'{"name": "a\\u0000b"}',
    "escaped nul in a key": b'{"na\\u0000me": "a"}',
    "escaped nul behind backslashes": b'{"name": "\\\\\\u0000"}',
    "raw control character": b'{"name": "a\nb"}',
    "lone surrogate": b'{"name": "a\\ud800b"}',
    "lone low surrogate": b'{"name": "\\udc00"}',
    "surrogates in the wrong order": b'{"name": "\\udc00\\ud800"}',
    "deep arrays": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and unclosed": b"[" * DEEP,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
}
OTHER_JSON = {
    "null": b"null",
    "a list": b"[]",
    "a string": b'"graph"',
    "a number": b"7",
    "a huge number": b"9" * 5000,
    "an infinite number": b"1e999",
    "true": b"true",
}


@pytest.mark.parametrize("path", GOOD)
async def test_what_is_no_json_is_malformed(served: Whole, ann: Person, path: str) -> None:
    where = path.format(w=await ann.workflow())
    before = deeds(served), contents(served)
    headers = {"Content-Type": "application/json"}
    for name, body in NO_JSON.items():
        answer = await ann.ask(method(path), where, content=body, headers=headers)
        assert answer.status_code in (400, 422), f"{name}: {answer.status_code} {answer.text}"
        refused(answer, 400, 422)
    for name, body in OTHER_JSON.items():
        answer = await ann.ask(method(path), where, content=body, headers=headers)
        assert answer.status_code == 422, f"{name}: {answer.status_code} {answer.text}"
        refused(answer, 422)
    assert (deeds(served), contents(served)) == before


@pytest.mark.parametrize("path", GOOD)
async def test_every_field_is_checked_by_name(served: Whole, ann: Person, path: str) -> None:
    where, good = path.format(w=await ann.workflow()), GOOD[path]
    before = deeds(served), contents(served)

    async def errors(body: dict[str, Any]) -> list[str]:
        problem = refused(await ann.ask(method(path), where, json=body), 422)
        return [error["field"] for error in problem["errors"]]

    assert await errors(good | {"surprise": 1}) == ["surprise"]
    for name in good:
        for wrong in (True, 1.5, [1], {"a": 1}) if name != "graph" else (True, 1.5, [1], "x", None, 7):
            assert (await errors(good | {name: wrong}))[0].startswith(name), (name, wrong)
        if path not in WITHOUT | PATCHED:
            assert await errors({other: good[other] for other in good if other != name}) == [name]
    assert (deeds(served), contents(served)) == before


@pytest.mark.parametrize("path", GOOD)
async def test_other_kinds_of_bodies_are_told_what_is_read(served: Whole, ann: Person, path: str) -> None:
    where = path.format(w=await ann.workflow())
    before, body = deeds(served), json.dumps(GOOD[path]).encode()
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "jsonish", "*/*"):
        answer = await ann.ask(method(path), where, content=body, headers={"Content-Type": kind})
        assert "application/json" in refused(answer, 415)["detail"]
    if path not in WITHOUT:
        assert "no body" in refused(await ann.ask(method(path), where), 400)["detail"]
    assert deeds(served) == before


async def test_json_with_a_charset_is_json(ann: Person) -> None:
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"):
        body = json.dumps({"name": "a", "graph": GRAPH}).encode()
        answer = await ann.ask("POST", "/workflows", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 201


def node(**inputs: Any) -> dict[str, Any]:
    return {"class_type": "X", "inputs": inputs}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


BAD_GRAPHS: dict[str, tuple[Any, str]] = {
    "empty": ({}, "graph"),
    "empty drawing": ({"nodes": [], "links": [], "version": 0.4}, "editor_graph"),
    "no graph": (None, "graph"),
    "node is no object": ({"1": []}, "graph.1"),
    "no class": ({"1": {"inputs": {}}}, "graph.1.class_type"),
    "class is no text": ({"1": {"class_type": 1, "inputs": {}}}, "graph.1.class_type"),
    "class is empty": ({"1": {"class_type": "", "inputs": {}}}, "graph.1.class_type"),
    "no inputs": ({"1": {"class_type": "X"}}, "graph.1.inputs"),
    "inputs are no object": ({"1": {"class_type": "X", "inputs": []}}, "graph.1.inputs"),
    "dangling link": ({"1": node(a=["2", 0])}, "graph.1.inputs.a"),
    "link to a number": ({"1": node(a=[1, 0])}, "graph.1.inputs.a"),
    "link without a slot": ({"1": node(), "2": node(a=["1"])}, "graph.2.inputs.a"),
    "link to slot -1": ({"1": node(), "2": node(a=["1", -1])}, "graph.2.inputs.a"),
    "link to slot 1.5": ({"1": node(), "2": node(a=["1", 1.5])}, "graph.2.inputs.a"),
    "link to slot true": ({"1": node(), "2": node(a=["1", True])}, "graph.2.inputs.a"),
    "link to a huge slot": ({"1": node(), "2": node(a=["1", 10**30])}, "graph.2.inputs.a"),
    "itself": ({"1": node(a=["1", 0])}, "graph.1"),
    "circle": ({"1": node(a=["2", 0]), "2": node(a=["3", 0]), "3": node(a=["1", 0])}, "graph.1"),
    "huge number": ({"1": node(a=2**64)}, "graph.1.inputs.a"),
    "huge negative number": ({"1": node(a=-(2**63) - 1)}, "graph.1.inputs.a"),
    "huge number inside": ({"1": node(a={"__value__": [1, {"b": 10**40}]})}, "graph.1.inputs.a"),
    "huge number beside": ({"1": node() | {"_meta": {"title": 10**40}}}, "graph.1._meta"),
    "deep": ({"1": node(a={"__value__": deep(70)})}, "graph.1.inputs.a"),
    "deep beside": ({"1": node() | {"_meta": deep(900)}}, "graph.1._meta"),
    "nameless node": ({"": node()}, "graph"),
    "long node id": ({"1" * 101: node()}, "graph"),
    "many nodes": ({str(number): node() for number in range(100_000)}, "graph"),
}


@pytest.mark.parametrize("name", BAD_GRAPHS)
async def test_a_graph_that_cannot_run_is_refused_with_its_place(
    served: Whole, ann: Person, name: str
) -> None:
    graph, field = BAD_GRAPHS[name]
    workflow = await ann.workflow()
    before = deeds(served), contents(served)
    for path, more in (("/workflows", {"name": "a"}), (f"/workflows/{workflow}/versions", {})):
        problem = refused(await ann.ask("POST", path, json=more | {"graph": graph}), 422)
        assert problem["errors"][0]["field"] == field
    assert (deeds(served), contents(served)) == before


async def test_an_editor_graph_is_checked_too(served: Whole, ann: Person) -> None:
    before = deeds(served), contents(served)
    for wrong in ([], "x", 7, deep(500), {"a": deep(70)}, {"a": [{"b": -(10**25)}]}):
        body = {"name": "a", "graph": GRAPH, "editor_graph": wrong}
        problem = refused(await ann.ask("POST", "/workflows", json=body), 422)
        assert problem["errors"][0]["field"] == "editor_graph"
    assert (deeds(served), contents(served)) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 201),
        ("name", "a\u0001b"),
        ("description", "x" * 10_001),
        ("description", "\u0001" * 10_000),
        ("tags", [""]),
        ("tags", ["x" * 51]),
        ("tags", [str(number) for number in range(31)]),
        ("tags", ["\u001b[31m"]),
    ],
)
async def test_words_have_their_bounds(served: Whole, ann: Person, field: str, value: Any) -> None:
    workflow = await ann.workflow()
    before = deeds(served)
    made = await ann.ask("POST", "/workflows", json={"name": "a", "graph": GRAPH} | {field: value})
    changed = await ann.ask("PATCH", f"/workflows/{workflow}", json={field: value})
    for answer in (made, changed):
        assert refused(answer, 422)["errors"][0]["field"] == field
    assert deeds(served) == before


async def test_the_largest_words_fit(ann: Person) -> None:
    wide = "\U0001f642"
    graph = {
        str(number): {
            "class_type": f"{number:04}" + wide * 190,
            "inputs": {"ckpt_name": wide * 200 + str(number)},
        }
        for number in range(400)
    }
    body = {"name": wide * 200, "description": wide * 10_000, "tags": [wide * 48 + str(n) for n in range(30)]}
    answer = await ann.ask("POST", "/workflows", json=body | {"graph": graph, "public": True})
    assert answer.status_code == 201, answer.text
    assert (await ann.get(f"/workflows/{answer.json()['id']}"))["description"] == wide * 10_000
    await ann.post(f"/workflows/{answer.json()['id']}/versions", {"graph": GRAPH, "note": wide * 2_000})


async def test_priorities_and_versions_have_their_bounds(served: Whole, ann: Person) -> None:
    workflow = await ann.workflow()
    before = deeds(served)
    for field, values in {"priority": (0, 11, -1, 10**30, 1.5), "version": (0, -1, 1.5, "1")}.items():
        for value in values:
            answer = await ann.ask("POST", f"/workflows/{workflow}/runs", json={field: value})
            assert refused(answer, 422)["errors"][0]["field"] == field
    assert deeds(served) == before


MIB = 1024 * 1024


async def stream(body: bytes) -> Any:
    for start in range(0, len(body), 64 * 1024):
        yield body[start : start + 64 * 1024]


@pytest.mark.parametrize("size", [8 * MIB + 1, 9 * MIB + 1, 20 * MIB])
async def test_what_is_too_large_is_refused(served: Whole, ann: Person, size: int) -> None:
    graph = {"1": node(text="x" * size)}
    body = json.dumps({"name": "large", "graph": graph}).encode()
    before = deeds(served), contents(served)
    headers = {"Content-Type": "application/json"}
    refused(await ann.ask("POST", "/workflows", content=body, headers=headers), 413)
    refused(await ann.ask("POST", "/workflows", content=stream(body), headers=headers), 413)
    assert (deeds(served), contents(served)) == before


async def test_a_graph_of_just_the_largest_size_is_kept(ann: Person) -> None:
    graph = {"1": node(text="")}
    graph["1"]["inputs"]["text"] = "x" * (8 * MIB - len(json.dumps(graph, separators=(",", ":"))))
    workflow = await ann.workflow(graph=graph)
    assert (await ann.get(f"/workflows/{workflow}"))["graph_size_bytes"] == 8 * MIB


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "201"},
        {"limit": "9" * 30},
        {"limit": "9" * 5000},
        {"limit": "ten"},
        {"limit": "1.5"},
        {"limit": ""},
        {"limit": "\x00"},
        {"cursor": "garbage"},
        {"cursor": "-1"},
        {"cursor": "\x00"},
        {"cursor": "9" * 400},
        {"cursor": "1." + "x" * 36},
        {"cursor": f"{'9' * 30}.8b0d5b3e-3f43-4c5e-9d55-0f6a3a1f2c10"},
        {"cursor": f"-{'9' * 30}.8b0d5b3e-3f43-4c5e-9d55-0f6a3a1f2c10"},
        {"cursor": "'; DROP SCHEMA log; --"},
    ],
    ids=str,
)
async def test_pages_have_their_bounds(ann: Person, asked: dict[str, str]) -> None:
    workflow = await ann.workflow()
    run = await ann.run(workflow)
    for path in (
        "/workflows",
        "/gallery",
        "/runs",
        f"/workflows/{workflow}/versions",
        f"/workflows/{workflow}/history",
        f"/runs/{run}/history",
    ):
        problem = refused(await ann.ask("GET", path, params=asked), 400, 422)
        assert problem["errors"][0]["field"] == next(iter(asked))


@pytest.mark.parametrize("position", ["x", "-1", "1.5", "0x1", "9" * 19, "1, 2", "²"])
async def test_consistent_with_must_be_a_position(ann: Person, position: str) -> None:
    for path in ("/workflows", "/gallery"):
        headers = {"Consistent-With": position.encode("latin-1")}
        refused(await ann.ask("GET", path, headers=headers), 400)


ODD = [
    "x",
    "0",
    "8b0d5b3e-3f43-4c5e-9d55-0f6a3a1f2c1",
    "00000000-0000-0000-0000-00000000000g",
    "%00",
    "%2e%2e",
    "a%2fb",
    "%ff",
    "1" * 5000,
]


@pytest.mark.parametrize("id", ODD)
async def test_what_is_no_id_leads_nowhere(served: Whole, ann: Person, id: str) -> None:
    before = deeds(served)
    for verb, path in (
        ("GET", f"/workflows/{id}"),
        ("PATCH", f"/workflows/{id}"),
        ("DELETE", f"/workflows/{id}"),
        ("POST", f"/workflows/{id}/runs"),
        ("GET", f"/workflows/{id}/versions/{id}"),
        ("GET", f"/runs/{id}"),
        ("POST", f"/runs/{id}/cancel"),
        ("GET", f"/runs/{id}/live"),
        ("GET", f"/outputs/{id}/{id}/{id}"),
    ):
        refused(await ann.ask(verb, path, json={}), 404)
    assert deeds(served) == before


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1",
        "/api/v1/",
        "/api/v2/workflows",
        "/api/v1/workflows/../../etc/passwd",
        "/api/v1/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/workflow\x00s",
        "/api/v1/workflows%00",
        "/api/v1/workflows%0d%0aX-Evil:%20yes",
        "/api/v1/outputs/..%2f..%2fsecret",
        "/\\evil.example",
        "/" + "a" * 10_000,
        "/%",
        "/%zz",
        "/index.php",
    ],
)
async def test_there_is_nothing_at_other_addresses(ann: Person, path: str) -> None:
    answer = await ann.http.get(path.replace("\x00", "%00"))
    refused(answer, 404)
    assert "x-evil" not in answer.headers


async def test_a_stranger_method_is_told_which_ones_there_are(ann: Person) -> None:
    workflow = await ann.workflow()
    for verb, path, allowed in (
        ("PUT", "/workflows", {"GET", "POST", "OPTIONS"}),
        ("POST", "/gallery", {"GET", "OPTIONS"}),
        ("DELETE", "/auth/me", {"GET", "OPTIONS"}),
        ("TRACE", f"/workflows/{workflow}", {"GET", "PATCH", "DELETE", "OPTIONS"}),
    ):
        answer = await ann.ask(verb, path)
        refused(answer, 405)
        assert set(answer.headers["allow"].replace(" ", "").split(",")) == allowed
    answer = await ann.ask("OPTIONS", "/workflows")
    assert answer.status_code == 204
    assert "access-control-allow-origin" not in answer.headers


async def test_a_head_is_the_get_without_its_body(ann: Person) -> None:
    workflow = await ann.workflow(public=True)
    for path in ("/gallery", "/workflows", f"/workflows/{workflow}", "/auth/me"):
        shown, asked = await ann.ask("GET", path), await ann.ask("HEAD", path)
        assert (asked.status_code, asked.content) == (200, b"")
        assert asked.headers["content-length"] == str(len(shown.content))
    assert (await ann.ask("HEAD", "/runs/x")).status_code == 404
