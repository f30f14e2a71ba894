"""LoRAs on the shelf: shown, named, shared, as they were, and gone."""

from typing import Any

import pytest

from tests.http.person import Person
from tests.http.problems import refused
from tests.http.test_uploads import fresh, sent


async def put(person: Person, name: str, **changes: Any) -> str:
    answer = await person.ask("POST", "/loras", **sent(fresh(**changes), name=f"{name}.safetensors"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def change(person: Person, lora: str, **body: Any) -> None:
    answer = await person.ask("PATCH", f"/loras/{lora}", json=body)
    assert answer.status_code == 200, answer.text


async def names(person: Person, **asked: Any) -> list[str]:
    return [item["name"] for item in (await person.get("/loras", params=asked))["items"]]


async def test_the_shelf_is_paged_the_last_changed_first(ann: Person) -> None:
    ids = {name: await put(ann, name) for name in ("one", "two", "three")}
    await put(ann, "old", width=768)
    await change(ann, ids["one"], description="Changed.")
    first = await ann.get("/loras", params={"limit": 2})
    rest = await ann.get("/loras", params={"limit": 2, "cursor": first["next_cursor"]})
    assert [item["name"] for item in first["items"] + rest["items"]] == ["one", "old", "three", "two"]
    assert rest["next_cursor"] is None
    assert await names(ann, base_model="sd15") == ["old"]
    refused(await ann.ask("GET", "/loras", params={"shelf": "other"}), 422)
    refused(await ann.ask("GET", "/loras", params={"cursor": "x"}), 422)


async def test_a_lora_is_renamed_and_described(ann: Person) -> None:
    lora, other = await put(ann, "one"), await put(ann, "two")
    await change(ann, lora, name="Fog", description="Grey.")
    shown = await ann.get(f"/loras/{lora}")
    assert (shown["name"], shown["description"]) == ("Fog", "Grey.")
    assert shown["file"].startswith("one-")
    refused(await ann.ask("PATCH", f"/loras/{other}", json={"name": "FOG.safetensors"}), 409)
    refused(await ann.ask("PATCH", f"/loras/{other}", json={"name": "../x"}), 422)
    refused(await ann.ask("PATCH", f"/loras/{other}", json={"file": "x"}), 422)
    refused(await ann.ask("POST", "/loras", **sent(fresh(), name="fog.safetensors")), 409)


async def test_a_change_may_depend_on_what_was_seen(ann: Person) -> None:
    lora = await put(ann, "one")
    etag = (await ann.ask("GET", f"/loras/{lora}")).headers["etag"]
    headers = {"If-Match": etag}
    assert (await ann.ask("PATCH", f"/loras/{lora}", json={"name": "a"}, headers=headers)).is_success
    refused(await ann.ask("PATCH", f"/loras/{lora}", json={"name": "b"}, headers=headers), 412)


async def test_a_lora_is_shared_with_some(ann: Person, bob: Person, nobody: Person) -> None:
    lora = await put(ann, "one")
    await change(ann, lora, shared_with=[bob.name.upper()])
    assert await names(bob, shelf="shared") == ["one"]
    assert await names(bob) == []
    shown = await bob.get(f"/loras/{lora}")
    assert (shown["owner"], shown["shared_with"]) == (ann.id, [])
    assert (await ann.get(f"/loras/{lora}"))["shared_with"] == [bob.id]
    refused(await nobody.ask("GET", f"/loras/{lora}"), 404)
    refused(await bob.ask("PATCH", f"/loras/{lora}", json={"shared_with": []}), 404)
    refused(await bob.ask("DELETE", f"/loras/{lora}"), 404)
    await change(ann, lora, shared_with=[])
    refused(await bob.ask("GET", f"/loras/{lora}"), 404)
    assert await names(bob, shelf="shared") == []


async def test_a_lora_is_shared_with_all(ann: Person, bob: Person, nobody: Person) -> None:
    lora = await put(ann, "one")
    await change(ann, lora, public=True)
    assert (await nobody.get(f"/loras/{lora}"))["name"] == "one"
    assert lora in [item["id"] for item in (await bob.get("/loras", params={"shelf": "public"}))["items"]]
    await change(ann, lora, public=False)
    refused(await nobody.ask("GET", f"/loras/{lora}"), 404)


@pytest.mark.parametrize(
    "whom", ["no-such-person", "", "ann@example.org", "14eafd1c-2567-4430-b9f9-ae101ad46b7f", "a\x01b"]
)
async def test_nobody_shares_with_somebody_who_is_not_there(ann: Person, whom: str) -> None:
    lora = await put(ann, "one")
    problem = refused(await ann.ask("PATCH", f"/loras/{lora}", json={"shared_with": [whom]}), 422)
    assert problem["errors"][0]["field"] == "shared_with.0"


async def test_an_address_is_no_name_to_share_with(ann: Person, bob: Person) -> None:
    lora = await put(ann, "one")
    refused(await ann.ask("PATCH", f"/loras/{lora}", json={"shared_with": [bob.email]}), 422)


async def test_a_deleted_lora_is_gone_and_its_name_is_free(ann: Person) -> None:
    lora = await put(ann, "one")
    assert (await ann.ask("DELETE", f"/loras/{lora}")).json()["position"] > 0
    assert (await ann.ask("DELETE", f"/loras/{lora}")).json()["position"] == 0
    refused(await ann.ask("GET", f"/loras/{lora}"), 404)
    assert await names(ann) == []
    await put(ann, "one")


async def test_a_lora_is_shown_as_it_was(ann: Person, bob: Person) -> None:
    lora = await put(ann, "one")
    born = ann.seen
    await put(ann, "other")
    await change(ann, lora, name="two", public=True)
    await ann.ask("DELETE", f"/loras/{lora}")
    for moment, name in ((str(born), "one"), ("v1", "one"), ("v3", "two")):
        assert (await ann.get(f"/loras/{lora}", params={"as_of": moment}))["name"] == name
    for moment in ("1", "v4", "v9"):
        refused(await ann.ask("GET", f"/loras/{lora}", params={"as_of": moment}), 404)
    refused(await bob.ask("GET", f"/loras/{lora}", params={"as_of": "v3"}), 404)
    refused(await ann.ask("GET", f"/loras/{lora}", params={"as_of": "yesterday"}), 422)


async def test_others_see_the_past_of_what_they_see_now_where_they_could(ann: Person, nobody: Person) -> None:
    lora = await put(ann, "one")
    await change(ann, lora, public=True)
    assert (await nobody.get(f"/loras/{lora}", params={"as_of": "v2"}))["public"]
    refused(await nobody.ask("GET", f"/loras/{lora}", params={"as_of": "v1"}), 404)


async def verified(person: Person, **asked: Any) -> dict[str, Any]:
    answer = await person.ask("POST", "/loras/verify", json=asked)
    assert answer.status_code == 200, answer.text
    return {item["name"]: item for item in answer.json()["items"]} | {"": answer.json()["works"]}


async def test_which_loras_would_work_is_told_before_the_run(ann: Person, bob: Person) -> None:
    lora = await put(ann, "Light")
    path = (await ann.get(f"/loras/{lora}"))["graph_name"]
    told = await verified(
        ann, names=["light.safetensors", "nowhere", path], checkpoint="sd_xl_base.safetensors"
    )
    assert (told["light.safetensors"]["works"], told["light.safetensors"]["graph_name"]) == (True, path)
    assert (told[path]["lora"], told[path]["base_model"]) == (lora, "sdxl")
    assert "on your shelf" in told["nowhere"]["reasons"][0]
    assert told[""] is False
    unfit = await verified(ann, names=["Light"], checkpoint="v1-5-pruned.safetensors")
    assert "SDXL" in unfit["Light"]["reasons"][0]
    strange = (await verified(bob, names=[path]))[path]
    unknown = path.replace(path[-80:-70], "0" * 10)
    assert strange["reasons"] == (await verified(bob, names=[unknown]))[unknown]["reasons"]
    assert (strange["works"], strange["lora"], strange["owner"]) == (False, None, None)


async def test_the_loras_of_a_graph_are_verified_where_it_names_them(ann: Person) -> None:
    await put(ann, "Light")
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5-pruned.safetensors"}},
        "2": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["1", 0], "lora_name": "Light"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
    }
    told = (await verified(ann, graph=graph))["Light"]
    assert (told["works"], told["node"], told["input"]) == (False, "2", "lora_name")
    refused(await ann.ask("POST", "/loras/verify", json={}), 422)
    refused(await ann.ask("POST", "/loras/verify", json={"graph": {"1": {}}}), 422)
