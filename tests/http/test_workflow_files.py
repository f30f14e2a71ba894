"""One workflow to take along."""

import io
import json
import zipfile
from uuid import UUID

from tests.http.person import GRAPH, Person
from tests.http.problems import refused
from tests.http.test_importing import DRAWN, form
from tests.http.test_workflows import OTHER


async def archive(person: Person, workflow: str) -> dict[str, object]:
    answer = await person.ask("GET", f"/workflows/{workflow}/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.testzip() is None
        return {name: json.loads(opened.read(name)) for name in opened.namelist()}


async def test_the_archive_holds_every_version_and_the_history(ann: Person) -> None:
    workflow = await ann.workflow("Blue ✓/../x", editor_graph=DRAWN, tags=["blue"])
    await ann.post(f"/workflows/{workflow}/versions", {"graph": OTHER, "note": "more"})
    files = await archive(ann, workflow)
    assert files["versions/1.json"] == GRAPH
    assert files["versions/1.editor.json"] == DRAWN
    assert files["versions/2.json"] == OTHER
    assert "versions/2.editor.json" not in files
    whole = files["workflow.json"]
    assert isinstance(whole, dict)
    assert (whole["name"], whole["tags"], whole["public"]) == ("Blue ✓/../x", ["blue"], False)
    assert [(each["note"], each["graph"]) for each in whole["versions"]] == [
        ("", "versions/1.json"),
        ("more", "versions/2.json"),
    ]
    history = files["history.json"]
    assert isinstance(history, list)
    shown = (await ann.get(f"/workflows/{workflow}/history"))["items"]
    assert [each["position"] for each in history] == [each["position"] for each in shown]


async def test_one_graph_is_given_in_either_format(ann: Person) -> None:
    workflow = await ann.workflow("Ann's", editor_graph=DRAWN)
    await ann.post(f"/workflows/{workflow}/versions", {"graph": OTHER})
    path = f"/workflows/{workflow}/export"
    newest = await ann.ask("GET", f"{path}?format=api")
    assert newest.json() == OTHER
    assert newest.headers["content-disposition"] == "attachment; filename*=utf-8''Ann%27s.json"
    assert (await ann.ask("GET", f"{path}?format=api&version=1")).json() == GRAPH
    assert (await ann.ask("GET", f"{path}?format=editor&version=1")).json() == DRAWN
    refused(await ann.ask("GET", f"{path}?format=editor"), 404)
    for number in (0, 3, -1):
        refused(await ann.ask("GET", f"{path}?format=api&version={number}"), 404)
    refused(await ann.ask("GET", f"{path}?format=exe"), 400)


async def test_others_take_along_what_is_published_without_its_history(ann: Person, bob: Person) -> None:
    workflow = await ann.workflow("Hers")
    refused(await bob.ask("GET", f"/workflows/{workflow}/export"), 404)
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True})
    files = await archive(bob, workflow)
    assert sorted(files) == ["versions/1.json", "workflow.json"]
    await ann.ask("DELETE", f"/workflows/{workflow}")
    refused(await ann.ask("GET", f"/workflows/{workflow}/export"), 404)


async def test_an_archive_comes_back_as_a_workflow_with_all_its_versions(ann: Person, bob: Person) -> None:
    workflow = await ann.workflow("Blue ✓", editor_graph=DRAWN, tags=["blue"], description="Two\nlines")
    await ann.post(f"/workflows/{workflow}/versions", {"graph": OTHER, "note": "more"})
    await ann.post(f"/workflows/{workflow}/versions/1/restore", {"note": "back"})
    await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True})
    body = (await ann.ask("GET", f"/workflows/{workflow}/export")).content
    answer = await bob.ask("POST", "/workflows/import", **form(body, "a.zip"))
    assert answer.status_code == 201, answer.text
    saved = answer.json()
    assert saved["version"] == 3
    path = f"/workflows/{saved['id']}"
    shown = await bob.get(path)
    about = [shown[name] for name in ("name", "tags", "description", "public", "graph", "editor_graph")]
    assert about == ["Blue ✓", ["blue"], "Two\nlines", False, GRAPH, DRAWN]
    versions = (await bob.get(f"{path}/versions"))["items"]
    assert [(each["number"], each["note"], each["restored_from"]) for each in versions] == [
        (3, "back", 1),
        (2, "more", None),
        (1, "", None),
    ]
    assert (await bob.get(f"{path}/versions/2"))["graph"] == OTHER
    history = (await bob.get(f"{path}/history"))["items"]
    imported = history[1]
    assert (imported["topic"], imported["data"]["source"]) == ("workflow.imported.v1", workflow)
    assert len(imported["data"]["saved_at"]) == 3
    named = await bob.ask("POST", "/workflows/import?name=Mine", **form(body, "a.zip"))
    assert (await bob.get(f"/workflows/{named.json()['id']}"))["name"] == "Mine"
    again = await bob.ask("GET", f"{path}/export")  # what was imported can be taken along again
    assert (await bob.ask("POST", "/workflows/import", **form(again.content))).json()["version"] == 3


async def test_an_archive_that_was_tampered_with_brings_nothing(ann: Person) -> None:
    about = {
        "id": str(UUID(int=1)),
        "name": "x",
        "versions": [{"number": n, "graph": f"versions/{n}.json"} for n in (1, 2)],
    }

    def zipped(*graphs: object, **more: object) -> bytes:
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
            files = {f"versions/{n}.json": graph for n, graph in enumerate(graphs, 1)}
            for name, content in ({"workflow.json": about} | files | more).items():
                made.writestr(name, json.dumps(content))
        return sink.getvalue()

    for body, field in (
        (zipped(GRAPH, GRAPH), "file"),  # no version is the same as the one before
        (zipped(GRAPH), "file"),
        (zipped(GRAPH, OTHER, **{"../up.json": 1}), "file"),
        (zipped(GRAPH, {"1": {"inputs": {}}}), "versions/2.json: graph.1.class_type"),
        (zipped(GRAPH, [1]), "versions/2.json"),
        (zipped(GRAPH, OTHER)[:-5], "file"),
    ):
        problem = refused(await ann.ask("POST", "/workflows/import", **form(body)), 422)
        assert problem["errors"][0]["field"] == field
    assert (await ann.get("/workflows"))["items"] == []
