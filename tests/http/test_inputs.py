"""Pictures to make others from: uploaded, listed, used, deleted, and nobody else's."""

import asyncio
import io
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from tests.http.executor import by_hand
from tests.http.log import deeds
from tests.http.person import PARAMETERS, Person, client, png
from tests.http.problems import refused
from tests.http.whole import Whole


def loading(name: str, class_type: str = "LoadImage") -> dict[str, Any]:
    return {
        "1": {"class_type": class_type, "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }


async def test_a_picture_is_kept_once_and_shown_to_its_owner(ann: Person) -> None:
    stored = await ann.upload(png(), "Großes Foto.png")
    assert (stored["width"], stored["height"], stored["media_type"]) == (48, 32, "image/png")
    again = await ann.upload(png(), "other name.png")
    assert again == stored | {"position": 0}
    (listed,) = (await ann.get("/inputs"))["items"]
    assert (listed["id"], listed["name"]) == (stored["id"], "Großes Foto.png")
    assert await ann.get(f"/inputs/{stored['id']}") == listed
    shown = await ann.ask("GET", f"/inputs/{stored['id']}/image")
    with Image.open(io.BytesIO(shown.content)) as image:
        assert image.size == (48, 32)


async def test_two_accounts_with_one_picture_have_two_inputs(ann: Person, bob: Person) -> None:
    mine, theirs = await ann.upload(png()), await bob.upload(png())
    assert mine["id"] != theirs["id"]
    assert mine["digest"] == theirs["digest"]
    refused(await bob.ask("GET", f"/inputs/{mine['id']}"), 404)
    refused(await bob.ask("GET", f"/inputs/{mine['id']}/image"), 404)


async def test_a_deleted_input_is_gone_until_it_is_uploaded_again(ann: Person) -> None:
    stored = await ann.upload(png())
    assert (await ann.ask("DELETE", f"/inputs/{stored['id']}")).json()["position"] > 0
    assert (await ann.ask("DELETE", f"/inputs/{stored['id']}")).json()["position"] == 0
    refused(await ann.ask("GET", f"/inputs/{stored['id']}"), 404)
    refused(await ann.ask("POST", "/generate", json=PARAMETERS | {"image": stored["id"]}), 422)
    assert (await ann.upload(png()))["position"] > 0
    await ann.post("/generate", PARAMETERS | {"image": stored["id"]})


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {"image": "x"}}, 415),
        ({"content": png(), "headers": {"Content-Type": "image/png"}}, 415),
        ({}, 415),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400),
        ({"content": b"--b\r\n\r\nx", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400),
        ({"content": b"--b--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400),
        ({"data": {"image": "text"}, "files": {}}, 415),
        ({"files": {"image": ("a.png", b"", "image/png")}}, 422),
        ({"files": {"image": ("a.png", b"no picture", "image/png")}}, 422),
        ({"files": {"image": ("a.png", png()[:60], "image/png")}}, 422),
        ({"files": {"image": ("a.svg", b"<svg/>", "image/svg+xml")}}, 422),
        ({"files": {f"f{n}": ("a.png", png(), "image/png") for n in range(30)}}, 400),
    ],
)
async def test_what_is_no_form_with_a_picture_is_refused(
    served: Whole, ann: Person, request_: dict[str, Any], status: int
) -> None:
    before = deeds(served)
    refused(await ann.ask("POST", "/inputs", **request_), status)
    assert deeds(served) == before


async def test_what_is_too_large_is_refused(served: Whole, ann: Person) -> None:
    before = deeds(served)
    refused(await ann.ask("POST", "/inputs", files={"image": ("a.png", bytes(33 * 2**20))}), 413)
    assert deeds(served) == before


async def test_strange_names_do_no_harm(ann: Person) -> None:
    for number, name in enumerate(("../../etc/passwd", "a\x01b.png", "x" * 900, "", 'a;b"c.png')):
        if not name:
            continue  # then it is no file
        stored = await ann.upload(png(16, 16 + number), name)
        shown = await ann.get(f"/inputs/{stored['id']}")
        assert len(shown["name"]) <= 200
        assert shown["name"].isprintable()


async def test_one_key_is_one_upload(served: Whole, ann: Person) -> None:
    key, form = {"Idempotency-Key": uuid4().hex}, {"image": ("a.png", png(8, 8))}
    request = ann.http.build_request("POST", "/api/v1/inputs", files=form, headers=key)
    body, kind = request.read(), request.headers["content-type"]
    before = deeds(served)
    headers = key | {"Content-Type": kind}
    answers = await asyncio.gather(
        *(ann.ask("POST", "/inputs", content=body, headers=headers) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert deeds(served) == before + 2  # the picture, and its name


async def test_graphs_load_only_ones_own(ann: Person, bob: Person) -> None:
    theirs = await bob.upload(png(20, 20))
    mine = await ann.upload(png(24, 24))
    for name in (theirs["id"], theirs["digest"], f"input:{theirs['digest']}", str(uuid4()), "input:x"):
        for path, body, field in (
            ("/runs", {"graph": loading(name)}, "graph.1.inputs.image"),
            ("/runs", {"graph": loading(name, "LoadImageMask")}, "graph.1.inputs.image"),
            ("/generate", PARAMETERS | {"image": name}, "image"),
            ("/generate", PARAMETERS | {"image": mine["id"], "mask": name}, "image"),
            ("/generate/grid", {"parameters": PARAMETERS, "vary": {"image": [name]}}, "image"),
        ):
            problem = refused(await ann.ask("POST", path, json=body), 422)
            assert problem["errors"][0]["field"] == field
    workflow = await bob.workflow(graph=loading(theirs["id"]), public=True)
    refused(await ann.ask("POST", f"/workflows/{workflow}/runs", json={}), 422)
    await bob.post(f"/workflows/{workflow}/runs", {})
    refused(await ann.ask("POST", "/runs", json={"graph": loading(f"comfyplus-x-{mine['digest']}.png")}), 422)
    refused(await ann.ask("POST", "/generate", json=PARAMETERS | {"image": "photo.png"}), 422)


async def test_a_claim_opens_the_inputs_of_its_run_and_no_others(
    served: Whole, ann: Person, bob: Person
) -> None:
    mine, other, theirs = (
        await ann.upload(png(25, 25)),
        await ann.upload(png(26, 26)),
        await bob.upload(png(27, 27)),
    )
    by_workflow = await ann.run(await ann.workflow(graph=loading(mine["id"])))
    by_graph = (await ann.post("/runs", {"graph": loading(mine["digest"], "LoadImageMask")}))["id"]
    again = (await ann.post(f"/runs/{by_graph}/rerun"))["id"]
    async with by_hand(served) as hand, client(served.url) as http:
        for run in (by_workflow, by_graph, again):
            claimed = await hand.claim(run)

            async def fetched(digest: str, token: str = claimed.token) -> httpx.Response:
                headers = {"Authorization": f"Bearer {token}"}
                return await http.get(f"/api/v1/objects/{digest}", headers=headers)

            answer = await fetched(mine["digest"])
            assert answer.status_code == 200
            with Image.open(io.BytesIO(answer.content)) as image:
                assert image.size == (25, 25)
            assert f"input:{mine['digest']}".encode() in (claimed.graph or b"")
            for digest in (other["digest"], theirs["digest"], "0" * 64, "x"):
                refused(await fetched(digest), 404)
            await hand.fail(claimed)


async def test_a_run_of_a_deleted_input_is_not_run_again(ann: Person) -> None:
    stored = await ann.upload(png(28, 28))
    run = (await ann.post("/generate", PARAMETERS | {"image": stored["digest"]}))["id"]
    await ann.ask("DELETE", f"/inputs/{stored['id']}")
    refused(await ann.ask("POST", f"/runs/{run}/rerun", json={}), 422)
    refused(await ann.ask("POST", f"/runs/{run}/rerun", json={"seed": 3}), 422)
