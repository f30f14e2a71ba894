"""Templates over HTTP: found, described, run, and run again."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tests.http.executor import by_hand
from tests.http.log import contents, deeds
from tests.http.person import FORM, PARAMETERS, Person, png
from tests.http.problems import refused
from tests.http.whole import Whole

CARD: dict[str, Any] = {"template": "plain_card", "values": {"text": "menu"}}


async def test_templates_are_listed_by_what_they_are_for(ann: Person) -> None:
    everything = (await ann.get("/templates"))["items"]
    ids = [each["id"] for each in everything]
    assert ids == sorted(ids)
    assert {"sd15_text_to_image", "qwen_inpaint", "plain_resize"} <= set(ids)
    first = await ann.get("/templates", params={"limit": 2})
    second = await ann.get("/templates", params={"limit": 200, "cursor": first["next_cursor"]})
    assert [each["id"] for each in (*first["items"], *second["items"])] == ids
    assert second["next_cursor"] is None
    asked = {"category": "editing", "family": "qwen", "q": "white"}
    (found,) = (await ann.get("/templates", params=asked))["items"]
    assert (found["id"], found["requires_mask"], found["supports_batch"]) == ("qwen_inpaint", True, False)
    refused(await ann.ask("GET", "/templates", params={"limit": 0}), 422)


async def test_a_template_shows_its_form_as_fields_and_as_a_schema(ann: Person) -> None:
    shown = await ann.get("/templates/sdxl_text_to_image")
    fields = {each["name"]: each for each in shown["parameters"]}
    assert (fields["prompt"]["required"], fields["prompt"]["default"]) == (True, None)
    assert (fields["steps"]["min"], fields["steps"]["max"], fields["steps"]["default"]) == (1, 100, 30)
    assert (fields["checkpoint"]["models"], fields["loras"]["models"]) == ("checkpoints", "loras")
    assert fields["steps"]["binds"] == [{"node": "6", "input": "steps"}]
    assert shown["schema"]["properties"].keys() == fields.keys()
    assert shown["requirements"]["models"] == ["checkpoints/sd_xl_base_1.0.safetensors"]
    assert "LoraLoader" not in shown["requirements"]["node_classes"]
    assert shown["example"]["prompt"]
    assert await ann.get("/templates/sdxl_text_to_image/defaults") == shown["defaults"]
    for path in ("/templates/nothing", "/templates/nothing/defaults"):
        refused(await ann.ask("GET", path), 404)
    refused(await ann.ask("POST", "/templates/nothing/runs", json={}), 404)


async def test_a_run_shows_the_template_and_the_values_it_was_made_from(ann: Person) -> None:
    template = await ann.get("/templates/sd15_text_to_image")
    asked = {"values": {"prompt": "a fox", "steps": 3}, "priority": 7}
    run = (await ann.post("/templates/sd15_text_to_image/runs", asked))["id"]
    shown = await ann.get(f"/runs/{run}")
    source = shown["source"]
    assert (source["kind"], source["template"], shown["priority"]) == ("template", "sd15_text_to_image", 7)
    assert source["version"] == template["version"]
    assert source["values"] == template["defaults"] | asked["values"] | {"seed": source["seed"]}
    assert source["seed"] >= 0
    assert (await ann.get(f"/runs/{run}", params={"as_of": "v1"}))["source"] == source
    listed = (await ann.get("/runs"))["items"][0]["source"]
    assert listed == {name: source[name] for name in ("kind", "seed", "template", "version")}
    (submitted,) = (await ann.get(f"/runs/{run}/history"))["items"]
    assert submitted["data"]["source"]["template"] == "sd15_text_to_image"
    other = (await ann.post(f"/runs/{run}/rerun", {"parameters": {"steps": 4}}))["id"]
    assert (await ann.get(f"/runs/{other}"))["source"]["values"] == source["values"] | {"steps": 4}


async def test_everything_wrong_with_values_is_told_at_once(served: Whole, ann: Person) -> None:
    before = deeds(served), contents(served)
    values = {"text": 5, "margin": -1, "odd": 1, "card_size": {"width": 0, "height": 5000}}
    for path, body in (
        ("/templates/plain_card/runs", {"values": values}),
        ("/generate", {"template": "plain_card", "values": values}),
    ):
        problem = refused(await ann.ask("POST", path, json=body), 422)
        assert [error["field"] for error in problem["errors"]] == [
            "values.odd",
            "values.text",
            "values.card_size.width",
            "values.card_size.height",
            "values.margin",
        ]
    refused(await ann.ask("POST", "/generate", json=CARD | {"prompt": "x"}), 422)
    refused(await ann.ask("POST", "/generate", json={"template": "nothing"}), 404)
    assert (deeds(served), contents(served)) == before


@pytest.mark.parametrize(
    ("path", "body", "runs"),
    [
        ("/templates/plain_card/runs", {"values": CARD["values"]}, 1),
        ("/generate", CARD, 1),
        ("/generate/sync?wait_s=0", CARD, 1),
        ("/generate/batch", {"template": "plain_card", "runs": [{"text": "one"}, {}]}, 2),
        ("/generate/grid", CARD | {"vary": {"margin": [1, 2], "stretch": [True, False]}}, 4),
    ],
)
async def test_a_template_is_run_in_every_way(
    served: Whole, ann: Person, path: str, body: dict[str, Any], runs: int
) -> None:
    key, before = {"Idempotency-Key": uuid4().hex}, deeds(served)
    made = [await ann.ask("POST", path, json=body, headers=key) for _ in range(2)]
    assert {answer.status_code for answer in made} == {202}, made[0].text
    assert len({answer.text for answer in made}) == 1
    assert deeds(served) - before == runs + (runs > 1)
    found = (await ann.get("/runs"))["items"]
    assert [each["source"]["template"] for each in found] == ["plain_card"] * runs


async def test_a_part_of_a_picture_is_edited(served: Whole, ann: Person) -> None:
    image, mask = await ann.upload(png()), await ann.upload(png(color=(255, 255, 255)))
    values = {"image": image["id"], "mask": mask["digest"], "prompt": "a scarf"}
    asked = {"template": "qwen_inpaint", "values": values}
    run = (await ann.post("/edit/inpaint", asked))["id"]
    async with by_hand(served) as hand:
        claimed = await hand.claim(run)
        await hand.fail(claimed)
    shown = await ann.get(f"/runs/{run}")
    assert shown["source"]["values"]["mask"] == mask["digest"]
    typed = PARAMETERS | {"image": image["id"], "mask": mask["id"]}
    assert (await ann.post("/edit/inpaint", typed))["id"]
    for body in (PARAMETERS, CARD):
        problem = refused(await ann.ask("POST", "/edit/inpaint", json=body), 422)
        assert [error["field"] for error in problem["errors"]] == ["mask"]


async def test_a_template_of_ones_own_is_published_changed_and_withdrawn(ann: Person, bob: Person) -> None:
    workflow = await ann.workflow()
    made = await ann.post("/templates", {"workflow": workflow, "form": FORM})
    id, path = made["id"], f"/templates/{made['id']}"
    shown = await ann.ask("GET", path)
    about = shown.json()
    assert (about["owner"], about["public"], about["number"], shown.headers["etag"]) == (
        ann.id,
        False,
        1,
        '"2"',
    )
    assert about["requirements"]["node_classes"] == ["EmptyImage", "SaveImage"]
    (listed,) = (await ann.get("/templates", params={"own": True}))["items"]
    assert (listed["id"], listed["name"], listed["supports_batch"]) == (id, "A square", False)
    assert listed.keys() <= about.keys()

    refused(await bob.ask("GET", path), 404)
    assert id not in (await bob.ask("GET", "/templates", params={"limit": 200})).text
    await ann.ask("PATCH", path, json={"public": True}, headers={"If-Match": '"2"'})
    refused(await ann.ask("PATCH", path, json={"public": False}, headers={"If-Match": '"2"'}), 412)
    found = (await bob.get("/templates", params={"q": "SQUARE colour", "family": "plain"}))["items"]
    assert id in [each["id"] for each in found]
    assert (await bob.get("/templates", params={"own": True}))["items"] == []
    run = (await bob.post(f"{path}/runs", {"values": {"color": 9}}))["id"]
    assert (await bob.get(f"/runs/{run}"))["source"]["values"] == {"color": 9}
    for method, where, body in (
        ("PATCH", path, {"public": False}),
        ("DELETE", path, None),
        ("POST", f"{path}/versions", {"workflow": await bob.workflow(), "form": FORM}),
        ("GET", f"{path}/history", None),
    ):
        refused(await bob.ask(method, where, json=body), 404)

    other = FORM | {"name": "A cube"}
    assert (await ann.post(f"{path}/versions", {"workflow": workflow, "form": other}))["version"] == 2
    assert (await bob.get(path))["name"] == "A cube"
    await ann.ask("PATCH", path, json={"public": False})
    refused(await bob.ask("POST", f"{path}/runs", json={}), 404)
    await ann.ask("DELETE", path)
    refused(await ann.ask("GET", path), 404)
    assert (await ann.get("/templates", params={"own": True}))["items"] == []
    topics = [each["topic"] for each in (await ann.get(f"{path}/history"))["items"]]
    assert topics == [
        "template.created.v1",
        "template.version_saved.v1",
        "template.published.v1",
        "template.version_saved.v1",
        "template.withdrawn.v1",
        "template.deleted.v1",
    ]


async def test_everything_in_which_a_form_does_not_fit_is_told_at_once(served: Whole, ann: Person) -> None:
    workflow, wrong = await ann.workflow(), msgspec.json.decode(msgspec.json.encode(FORM))
    before = deeds(served), contents(served)
    wrong["parameters"][0] |= {"type": "number", "name": "Colour", "odd": 1}
    problem = refused(await ann.ask("POST", "/templates", json={"workflow": workflow, "form": wrong}), 422)
    assert [error["field"] for error in problem["errors"]] == [
        "form.parameters[0].odd",
        "form.parameters[0].name",
        "form.parameters[0].type",
    ]
    wrong = FORM | {"parameters": [FORM["parameters"][0] | {"max": -1, "default": 1.5}], "example": {"x": 1}}
    problem = refused(await ann.ask("POST", "/templates", json={"workflow": workflow, "form": wrong}), 422)
    assert [error["field"] for error in problem["errors"]] == [
        "form.parameters[0].max",
        "form.parameters[0].default",
    ]
    assert (deeds(served), contents(served)) == before


async def test_the_list_goes_on_from_those_of_the_program_to_those_of_accounts(ann: Person) -> None:
    workflow = await ann.workflow()
    own = {await ann.template(workflow) for _ in range(3)}
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await ann.get("/templates", params={"limit": 5, "family": "plain"} | cursor)
        assert len(page["items"]) <= 5
        seen += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == len(set(seen))
    assert seen[:3] == ["plain_blend", "plain_card", "plain_resize"]
    assert own <= set(seen)
    refused(await ann.ask("GET", "/templates", params={"cursor": "9.nothing"}), 422)
