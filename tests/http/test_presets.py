"""Presets over HTTP."""

from typing import Any
from uuid import uuid4

from tests.http.log import deeds
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.whole import Whole

MILAN: dict[str, Any] = {
    "name": "Milan",
    "description": "A character.",
    "values": {"steps": 12},
    "additions": {"prompt": {"before": "milan"}},
    "loras": [{"name": "milan.safetensors"}],
    "lists": {"place": ["a harbour", "a forest"]},
}


async def test_a_preset_is_kept_shown_changed_shared_and_deleted(ann: Person, bob: Person) -> None:
    made = await ann.post("/presets", MILAN)
    path = f"/presets/{made['id']}"
    shown = await ann.ask("GET", path)
    about = shown.json()
    assert {name: about[name] for name in MILAN} == MILAN
    assert (about["owner"], about["public"], shown.headers["etag"]) == (ann.id, False, '"2"')
    (listed,) = (await ann.get("/presets", params={"own": True}))["items"]
    assert (listed["id"], listed["name"], listed["template"]) == (made["id"], "Milan", None)
    refused(await bob.ask("GET", path), 404)
    changed = MILAN | {"name": "Milan, older", "public": True, "template": "sd15_text_to_image"}
    await ann.ask("PUT", path, json=changed, headers={"If-Match": '"2"'})
    refused(await ann.ask("PUT", path, json=MILAN, headers={"If-Match": '"2"'}), 412)
    assert (await bob.get(path))["name"] == "Milan, older"
    for asked, there in (("sd15_text_to_image", True), ("plain_card", False)):
        page = await bob.get("/presets", params={"template": asked, "limit": 200})
        assert (made["id"] in [each["id"] for each in page["items"]]) == there
    for method, where in (("PUT", path), ("DELETE", path), ("GET", f"{path}/history")):
        refused(await bob.ask(method, where, json=MILAN), 404)
    await ann.ask("DELETE", path)
    for person in (ann, bob):
        refused(await person.ask("GET", path), 404)
    topics = [each["topic"] for each in (await ann.get(f"{path}/history"))["items"]]
    assert topics == [
        "preset.created.v1",
        "preset.saved.v1",
        "preset.saved.v1",
        "preset.published.v1",
        "preset.deleted.v1",
    ]


async def test_a_run_shows_its_preset_and_what_was_chosen(ann: Person) -> None:
    preset = (await ann.post("/presets", MILAN))["id"]
    asked = {"values": {"prompt": "in __place__", "seed": 5}, "preset": preset, "wildcards": True}
    run = (await ann.post("/templates/sd15_text_to_image/runs", asked))["id"]
    source = (await ann.get(f"/runs/{run}"))["source"]
    assert source["preset"]["id"] == preset
    assert source["values"]["prompt"] == "milan, in __place__"
    assert source["texts"]["prompt"] in ("milan, in a harbour", "milan, in a forest")
    assert source["lists"] == {"place": MILAN["lists"]["place"]}
    body = asked | {"template": "sd15_text_to_image"}
    again = (await ann.post("/generate", body))["id"]
    assert (await ann.get(f"/runs/{again}"))["source"]["texts"] == source["texts"]
    for path, more in (("/generate/grid", {"vary": {"seed": [5]}}), ("/generate/batch", {})):
        sent = body | more
        if path.endswith("batch"):
            sent["runs"] = [sent.pop("values")]
        made = await ann.post(path, sent)
        assert (await ann.get(f"/runs/{made['runs'][0]}"))["source"]["texts"] == source["texts"]


async def test_a_preset_that_makes_no_sense_is_refused(served: Whole, ann: Person) -> None:
    before = deeds(served)
    for wrong, told in (
        ({"name": ""}, "name"),
        ({"values": {"Steps": 1}}, "values"),
        ({"lists": {"empty": []}}, "lists"),
        ({"loras": [{"name": "a", "odd": 1}]}, "loras[0].odd"),
        ({"template": "plain_card"}, "values.steps"),
        ({"odd": 1}, "odd"),
    ):
        problem = refused(await ann.ask("POST", "/presets", json=MILAN | wrong), 422)
        assert problem["errors"][0]["field"].startswith(told), problem
    refused(await ann.ask("POST", "/presets", json=MILAN | {"template": "nothing"}), 404)
    asked = {"values": {"prompt": "x"}, "preset": str(uuid4())}
    refused(await ann.ask("POST", "/templates/sd15_text_to_image/runs", json=asked), 404)
    assert deeds(served) == before
