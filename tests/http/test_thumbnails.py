"""The pictures that workflows are shown by: from an output or uploaded, seen by whoever sees the workflow."""

import io
from typing import Any

import httpx
import pytest
from PIL import Image

from adapters.http import workflow_answers
from infra.erasing import erasing
from infra.removing import removing
from tests.http.errands import drawn, errand, eventually
from tests.http.person import Person, client, joined, png
from tests.http.problems import refused
from tests.http.test_erasing import _is, hasty, stored
from tests.http.test_erasure import erased
from tests.http.test_workflows import shaped
from tests.http.whole import Whole, beside

PLACE = "48.8584 N, 2.2945 E"


async def sent(person: Person, workflow: str, body: bytes, **more: Any) -> httpx.Response:
    files = {"image": ("photo", body, "application/octet-stream")}
    return await person.ask("POST", f"/workflows/{workflow}/thumbnail", files=files, **more)


async def looked(url: str, person: Person | None = None) -> httpx.Response:
    async with client() as http:
        if person is not None:
            http.headers["Authorization"] = person.http.headers["Authorization"]
        return await http.get(url)


def located(width: int, height: int) -> bytes:
    exif, body = Image.Exif(), io.BytesIO()
    exif[0x010E] = PLACE
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (width, height), "red").save(body, "JPEG", exif=exif)
    return body.getvalue()


async def test_an_uploaded_picture_shows_a_workflow_to_whoever_may_see_it(
    ann: Person, bob: Person, nobody: Person
) -> None:
    workflow = await ann.workflow()
    path = f"/workflows/{workflow}"
    answer = await sent(ann, workflow, located(1600, 400))
    assert answer.status_code == 200, answer.text
    shown = await ann.get(path)
    shaped(workflow_answers.WorkflowAnswer, shown)
    small, large = shown["thumbnails"]
    assert ((small["width"], small["height"]), (large["width"], large["height"])) == ((64, 256), (192, 768))
    assert (await ann.get("/workflows"))["items"][0]["thumbnails"] == [small, large]
    for each in (small, large):
        seen = await looked(each["url"], ann)
        assert (seen.status_code, seen.headers["content-type"]) == (200, "image/webp")
        with Image.open(io.BytesIO(seen.content)) as picture:
            assert (picture.format, picture.size) == ("WEBP", (each["width"], each["height"]))
        assert PLACE.encode() not in seen.content
    refused(await looked(small["url"]), 404)
    refused(await looked(small["url"], bob), 404)
    refused(await sent(bob, workflow, png()), 404)
    refused(await bob.ask("DELETE", f"{path}/thumbnail"), 404)

    await ann.ask("PATCH", path, json={"public": True, "name": "Pictured"})
    nobody.seen = bob.seen = ann.seen
    await bob.post(f"{path}/fork", {"name": "No picture of its own"})
    (entry,) = (await nobody.get("/gallery", params={"q": "Pictured"}))["items"]
    shaped(workflow_answers.GalleryPage, {"items": [entry], "next_cursor": None})
    assert entry["thumbnails"] == [small, large]
    assert (await looked(small["url"])).status_code == 200
    assert [each["thumbnails"] for each in (await bob.get(f"{path}/forks"))["items"]] == [[]]

    refused(await sent(ann, workflow, png(), headers={"If-Match": '"1"'}), 412)
    assert (await sent(ann, workflow, png(100, 50))).status_code == 200
    (other,) = (await ann.get(path))["thumbnails"]  # it is small already
    assert (other["width"], other["height"]) == (100, 50)
    nobody.seen = ann.seen
    refused(await looked(f"{small['url']}"), 404)
    for digest in ("%00", other["digest"][:-1], other["digest"].upper()):
        answer = await ann.ask("GET", f"{path}/thumbnails/{digest}")
        assert answer.status_code == 404
    assert (await ann.ask("DELETE", f"{path}/thumbnail")).json()["position"] > 0
    assert (await ann.ask("DELETE", f"{path}/thumbnail")).json() == {"position": 0}
    assert (await ann.get(path))["thumbnails"] == []
    refused(await looked(other["url"], ann), 404)


@pytest.mark.parametrize(
    "body",
    [b"", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", b"GIF89a" + b"\xff" * 20, png()[:-40]],
)
async def test_what_is_no_picture_shows_nothing(ann: Person, body: bytes) -> None:
    workflow = await ann.workflow()
    assert refused(await sent(ann, workflow, body), 422)["errors"][0]["field"] == "image"
    assert (await ann.get(f"/workflows/{workflow}"))["thumbnails"] == []


async def test_an_output_of_ones_own_shows_a_workflow_and_outlives_its_run(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        run, workflow = await drawn(own, ann, b"hers"), await ann.workflow()
        path, bobs = f"/workflows/{workflow}/thumbnail", await bob.workflow()
        chosen = {"output": {"run": run, "node": "2"}}
        bob.seen = ann.seen

        async def there() -> bool:
            return bool((await ann.get(f"/runs/{run}"))["outputs"])

        await eventually(there)
        assert (await ann.ask("PUT", path, json=chosen)).json()["position"] > 0
        assert (await ann.ask("PUT", path, json=chosen)).json() == {"position": 0}
        refused(await bob.ask("PUT", f"/workflows/{bobs}/thumbnail", json=chosen), 404)
        refused(await ann.ask("PUT", path, json={"output": {"run": run, "node": "3"}}), 404)
        refused(await ann.ask("PUT", path, json={"output": {"run": run}}), 422)
        (shown,) = (await ann.get(f"/workflows/{workflow}"))["thumbnails"]
        await ann.ask("DELETE", f"/runs/{run}")
        refused(await ann.ask("PUT", f"/workflows/{await ann.workflow()}/thumbnail", json=chosen), 404)
        with beside(errand(lambda: removing(hasty(own)))):
            await eventually(lambda: _is(lambda: not stored(own, b"hers")))
            assert stored(own, b"small hers")
            assert (await looked(shown["url"], ann)).content == b"small hers"
            await ann.ask("DELETE", f"/workflows/{workflow}", params={"for_good": True})
            await eventually(lambda: _is(lambda: not stored(own, b"small hers")))


async def test_an_erased_account_leaves_no_picture_on_what_stays_public(own: Whole) -> None:
    async with joined(own) as ann, joined(own) as bob:
        workflow = await ann.workflow(public=True)
        await sent(ann, workflow, png())
        bob.seen = ann.seen
        (shown,) = (await bob.get(f"/workflows/{workflow}"))["thumbnails"]
        assert kept(own, shown["digest"])
        await erased(ann)
        with beside(errand(lambda: erasing(hasty(own)))):
            await eventually(lambda: _is(lambda: not kept(own, shown["digest"])))

            async def gone() -> bool:
                return (await bob.get(f"/workflows/{workflow}"))["thumbnails"] == []

            await eventually(gone)


def kept(whole: Whole, digest: str) -> bool:
    return (whole.settings.data / "objects" / digest[:2] / digest).is_file()
