"""One workflow to take along."""

import io
import json
import zipfile

from tests.http.person import GRAPH, Person
from tests.http.problems import refused
from tests.http.test_importing import DRAWN
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
