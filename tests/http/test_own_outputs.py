"""One's own outputs: found, told of, starred, deleted, handed out in another rendition, and all in one zip."""

import io
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4
from zipfile import ZipFile

import httpx
import pytest
from PIL import Image

from adapters.http import output_answers, run_answers
from infra.removing import removing
from tests.http.errands import errand, eventually
from tests.http.executor import ByHand, by_hand
from tests.http.person import GRAPH, Person, client, joined
from tests.http.problems import refused
from tests.http.test_erasing import _is, stored
from tests.http.test_removing import hasty
from tests.http.test_runs import until
from tests.http.test_workflows import paged, shaped
from tests.http.whole import Whole, beside
from tests.imaging.test_renditions import told

SEEDED: dict[str, Any] = GRAPH | {
    "3": {"class_type": "KSampler", "inputs": {"seed": 7, "model": ["4", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sandbox.safetensors"}},
}


@pytest.fixture
async def hand(served: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(served) as executor:
        yield executor


@pytest.fixture
async def anybody() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as http:
        yield http


async def made(person: Person, hand: ByHand, run: str, *bodies: bytes, names: Any = None) -> Any:
    claimed = await hand.claim(run)
    await hand.start(claimed)
    for index, body in enumerate(bodies):
        await hand.store(claimed, body, index=index, name=names[index] if names else f"{index}.png")
    await hand.succeed(claimed)
    return await until(person, run, "succeeded")


async def test_outputs_are_listed_told_of_starred_and_deleted(ann: Person, bob: Person, hand: ByHand) -> None:
    workflow = await ann.workflow(graph=SEEDED)
    run = await ann.run(workflow)
    shown = await made(ann, hand, run, b"one", b"two", b"three")
    ids = [each["id"] for each in shown["outputs"]]
    page = await ann.get("/outputs", params={"workflow": workflow})
    shaped(output_answers.OutputPage, page)
    assert [each["id"] for each in page["items"]] == ids[::-1]
    assert [each["id"] async for each in paged(ann, "/outputs", 1)] == ids[::-1]

    told_of = await ann.get(f"/outputs/{ids[0]}")
    shaped(output_answers.OutputDetail, told_of)
    assert (told_of["run"], told_of["workflow"], told_of["backend"]) == (run, workflow, "gpu-1")
    assert (told_of["graph"], told_of["seed"], told_of["size_bytes"]) == (SEEDED, 7, 3)
    assert (told_of["models"], told_of["loras"]) == (["checkpoints/sandbox.safetensors"], [])
    assert (await ann.ask("GET", f"/outputs/{ids[0]}/file")).content == b"one"

    await ann.ask("PUT", f"/outputs/{ids[0]}/star")
    starred = await ann.get("/outputs", params={"starred": True})
    assert [each["id"] for each in starred["items"]] == [ids[0]]
    assert [each["id"] for each in (await ann.get("/runs", params={"starred": True}))["items"]] == [run]
    listed = (await ann.get("/runs", params={"model": "sandbox.safetensors"}))["items"][0]
    shaped(run_answers.ListedRun, listed)
    assert (listed["output_count"], len(listed["thumbnails"])) == (3, 3)
    assert (await ann.http.get(listed["thumbnails"][0]["url"])).content == b"small one"
    await ann.ask("DELETE", f"/outputs/{ids[0]}/star")
    assert (await ann.get("/outputs", params={"starred": True}))["items"] == []

    assert (await ann.ask("DELETE", f"/outputs/{ids[1]}")).is_success
    refused(await ann.ask("GET", f"/outputs/{ids[1]}"), 404)
    assert [each["id"] for each in (await ann.get(f"/runs/{run}"))["outputs"]] == [ids[0], ids[2]]
    topics = [each["topic"] for each in (await ann.get(f"/runs/{run}/history"))["items"]]
    assert topics[-3:] == ["run.output_starred.v1", "run.output_unstarred.v1", "run.output_deleted.v1"]
    for wrong in ({"from": "yesterday"}, {"media_type": ""}, {"limit": 0}, {"cursor": "x"}):
        refused(await ann.ask("GET", "/outputs", params=wrong), 422)
    assert (await bob.get("/outputs"))["items"] == []


async def test_many_are_touched_at_once_and_each_is_told_what_became_of_it(
    ann: Person, bob: Person, hand: ByHand
) -> None:
    workflow = await ann.workflow()
    first = await made(ann, hand, await ann.run(workflow), b"a", b"b")
    second = await made(ann, hand, await ann.run(workflow), b"c")
    waiting = await ann.run(workflow)
    claimed = await hand.claim(waiting)
    await hand.store(claimed, b"not yet")
    while not (going := (await ann.get(f"/runs/{waiting}"))["outputs"]):
        pass
    ids = [each["id"] for shown in (first, second) for each in shown["outputs"]]
    unknown = str(uuid4())
    asked = {"act": "star", "outputs": [unknown, *ids, going[0]["id"]]}
    for position in (True, False):  # asked again it is as it was
        answer = await ann.post("/outputs/bulk", asked)
        shaped(output_answers.TouchedOutputs, answer)
        assert [(each["id"], each["done"]) for each in answer["items"]] == [
            (unknown, False),
            *((id, True) for id in ids),
            (going[0]["id"], False),
        ]
        assert "not over" in answer["items"][-1]["reason"]
        assert (answer["position"] > 0) is position
    strange = (await bob.post("/outputs/bulk", {"act": "delete", "outputs": ids}))["items"]
    assert not any(each["done"] for each in strange)
    gone = await ann.post("/outputs/bulk", {"act": "delete", "outputs": ids[1:]})
    assert all(each["done"] for each in gone["items"])
    assert [each["id"] for each in (await ann.get("/outputs", params={"starred": True}))["items"]] == ids[:1]
    refused(await ann.ask("POST", "/outputs/bulk", json={"act": "keep", "outputs": ids}), 422)
    await hand.fail(claimed)


async def test_pictures_are_handed_out_as_their_owner_wants_them(
    ann: Person, hand: ByHand, anybody: httpx.AsyncClient
) -> None:
    picture = told("PNG")
    workflow = await ann.workflow()
    plain = await made(ann, hand, await ann.run(workflow), picture)
    own = {"format": "jpeg", "quality": 50, "metadata": False}
    jpeg = await made(ann, hand, await ann.run(workflow, rendition=own), picture)
    before = plain["outputs"][0]["url"]
    assert (await anybody.get(before)).content == picture
    bare = await anybody.get(before, params=dict(parse_qsl(urlsplit(before).query)) | {"metadata": "off"})
    assert bare.headers["content-type"] == "image/png"
    assert b"secret" not in bare.content
    url = jpeg["outputs"][0]["url"]
    fetched = await anybody.get(url)
    assert (fetched.headers["content-type"], b"secret" in fetched.content) == ("image/jpeg", False)
    assert Image.open(io.BytesIO(fetched.content)).format == "JPEG"
    part = await anybody.get(url, headers={"Range": "bytes=0-1"})
    assert (part.status_code, part.content) == (206, b"\xff\xd8")
    for changed in (url.replace("&as=jpeg-50-bare", ""), url.replace("jpeg-50-bare", "jpeg-50")):
        refused(await anybody.get(changed), 404)
    refused(await anybody.get(f"{url}&format=png"), 422)

    await ann.ask("PUT", "/accounts/me/rendition", json={"format": "webp", "metadata": False})
    wanted = await ann.get("/accounts/me/rendition")
    assert wanted == {"format": "webp", "quality": 90, "metadata": False}
    for path in (f"/runs/{plain['id']}", f"/runs/{plain['id']}?as_of={ann.seen}"):
        now = (await ann.get(path))["outputs"][0]["url"]
        assert now.partition("?")[0].endswith("/0.webp")
        fetched = await anybody.get(now)
        assert (fetched.headers["content-type"], b"secret" in fetched.content) == ("image/webp", False)
    assert "as=jpeg-50-bare" in (await ann.get(f"/runs/{jpeg['id']}"))["outputs"][0]["url"]
    file = f"/outputs/{plain['outputs'][0]['id']}/file"
    asked = {"format": "original", "metadata": "on"}
    assert (await ann.ask("GET", file, params=asked)).content == picture
    refused(await ann.ask("GET", file, params={"format": "jpeg", "quality": 81}), 422)
    refused(await ann.ask("PUT", "/accounts/me/rendition", json={"format": "tiff"}), 422)


async def test_what_is_no_picture_is_handed_out_as_it_is_or_refused(ann: Person, hand: ByHand) -> None:
    await ann.ask("PUT", "/accounts/me/rendition", json={"format": "webp"})
    shown = await made(ann, hand, await ann.run(await ann.workflow()), b"not a picture")
    url = shown["outputs"][0]["url"]
    assert "cannot be read" in refused(await ann.http.get(url), 422)["detail"]
    file = f"/outputs/{shown['outputs'][0]['id']}/file"
    assert (await ann.ask("GET", file, params={"format": "original"})).content == b"not a picture"


NAMES = ["../../etc/passwd", "a.png", "A.png", "C:\\evil\\con.png", ".", "ü\r\n.png"]


async def test_outputs_come_as_one_zip_whose_names_are_no_paths(
    ann: Person, bob: Person, hand: ByHand
) -> None:
    workflow = await ann.workflow()
    bodies = [name.encode() * 9 for name in NAMES]
    first = await made(ann, hand, await ann.run(workflow), *bodies, names=NAMES)
    large = bytes(range(256)) * 4000
    second = await made(ann, hand, await ann.run(workflow), large, names=["a.png"])
    ids = [each["id"] for shown in (first, second) for each in shown["outputs"]]
    answer = await ann.ask("POST", "/outputs/zip", json={"outputs": ids})
    assert answer.headers["content-type"] == "application/zip"
    with ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "passwd",
            "a.png",
            "A (2).png",
            "_con.png",
            "output",
            "ü__.png",
            "a (3).png",
        ]
        assert [archive.read(name) for name in archive.namelist()] == [*bodies, large]
        assert all(each.compress_type == 0 for each in archive.infolist())
    whole = await ann.ask("GET", f"/runs/{second['id']}/zip")
    with ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.namelist() == ["a.png"]
    refused(await bob.ask("POST", "/outputs/zip", json={"outputs": ids}), 404)
    refused(await ann.ask("POST", "/outputs/zip", json={"outputs": [*ids, str(uuid4())]}), 404)
    refused(await ann.ask("POST", "/outputs/zip", json={"outputs": []}), 422)
    async with ann.http.stream("POST", "/api/v1/outputs/zip", json={"outputs": ids}) as left:
        assert left.status_code == 200  # and away, in the middle of it
    assert (await ann.ask("POST", "/outputs/zip", json={"outputs": ids})).content == answer.content


async def test_what_a_deleted_output_leaves_behind_goes_with_its_renditions(own: Whole) -> None:
    async with joined(own) as ann, by_hand(own) as hand:
        gone, stays = told("PNG"), told("PNG") + b"\0"
        shown = await made(ann, hand, await ann.run(await ann.workflow()), gone, stays)
        bare = []
        for each in shown["outputs"]:
            answer = await ann.ask("GET", f"/outputs/{each['id']}/file", params={"metadata": "off"})
            bare.append(answer.content)
        assert all(stored(own, body) for body in (gone, stays, *bare))
        await ann.ask("DELETE", f"/outputs/{shown['outputs'][0]['id']}")
        with beside(errand(lambda: removing(hasty(own)))):
            await eventually(lambda: _is(lambda: not stored(own, gone)))
            await eventually(lambda: _is(lambda: not stored(own, bare[0])))
        assert stored(own, stays)
        kept = f"/outputs/{shown['outputs'][1]['id']}/file"
        again = await ann.ask("GET", kept, params={"metadata": "off"})
        assert again.content == bare[1]  # one that is gone is made anew
