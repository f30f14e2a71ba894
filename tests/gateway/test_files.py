"""Files by the names that ComfyUI gives them: uploaded, looked at, masked, made by runs; nobody else's."""

import asyncio
import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.http.executor import by_hand
from tests.http.person import Person, client, joined, png
from tests.http.whole import Whole
from tests.loras.files import lora
from tests.workflows.media_files import FILES, HTML
from workflows.media import TYPES


async def upload(person: Person, body: bytes, name: str = "red.png", to: str = "image", **form: str) -> Any:
    answer = await sent(person, body, name, to, **form)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def sent(person: Person, body: bytes, name: str, to: str = "image", **form: str) -> httpx.Response:
    return await person.http.post(f"/comfy/upload/{to}", files={"image": (name, body)}, data=form)


async def view(person: Person, filename: str, **asked: Any) -> httpx.Response:
    headers = asked.pop("headers", {})
    method = asked.pop("method", "GET")
    asked |= {"filename": filename}
    return await person.http.request(method, "/comfy/api/view", params=asked, headers=headers)


def pixels(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body))


async def test_an_upload_is_named_viewed_and_listed_as_by_comfyui(ann: Person, bob: Person) -> None:
    red, blue = png(color=(255, 0, 0)), png(color=(0, 0, 255))
    assert await upload(ann, red) == {"name": "red.png", "subfolder": "", "type": "input"}
    assert (await upload(ann, red))["name"] == "red.png"
    assert (await upload(ann, blue))["name"] == "red (1).png"
    assert await upload(ann, blue, subfolder="./a//b/") == {
        "name": "red.png",
        "subfolder": "a/b",
        "type": "input",
    }

    seen = await view(ann, "red.png", type="input")
    assert pixels(seen.content).getpixel((0, 0)) == (255, 0, 0)
    assert (seen.headers["content-type"], seen.headers["content-disposition"]) == (
        "image/png",
        'filename="red.png"',
    )
    assert pixels((await view(ann, "x/y/red.png [input]", subfolder="a/b")).content).getpixel((0, 0)) == (
        0,
        0,
        255,
    )
    tag = {"If-None-Match": seen.headers["etag"]}
    assert (await view(ann, "red.png", type="input", headers=tag)).status_code == 304
    part = await view(ann, "red.png", type="input", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, seen.content[:10])
    head = await view(ann, "red.png", type="input", method="HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(seen.content)))

    assert (await upload(ann, blue, overwrite="true"))["name"] == "red.png"
    assert pixels((await view(ann, "red.png", type="input", headers=tag)).content).getpixel((0, 0)) == (
        0,
        0,
        255,
    )
    names = (await ann.http.get("/comfy/internal/files/input")).json()
    assert sorted(names) == ["red (1).png", "red.png"]

    assert (await bob.http.get("/comfy/internal/files/input")).json() == []
    assert (await view(bob, "red.png", type="input")).status_code == 404
    assert (await upload(bob, blue))["name"] == "red.png"


async def test_of_many_uploads_at_once_each_gets_a_name_of_its_own(ann: Person) -> None:
    bodies = [png(color=(shade, shade, shade)) for shade in range(8)]
    given = await asyncio.gather(*(upload(ann, body) for body in bodies * 2))
    wanted = {"red.png", *(f"red ({number}).png" for number in range(1, 8))}
    assert {each["name"] for each in given} == wanted
    assert {*(await ann.http.get("/comfy/internal/files/input")).json()} == wanted


async def test_pictures_are_shown_in_another_way_and_masked(ann: Person) -> None:
    drawn = io.BytesIO()
    Image.new("RGBA", (48, 32), (0, 0, 0, 77)).save(drawn, "PNG")
    await upload(ann, png(color=(255, 0, 0)))
    original = json.dumps({"filename": "red.png", "type": "input"})
    masked = await upload(
        ann, drawn.getvalue(), "m.png", "mask", subfolder="clipspace", original_ref=original
    )
    assert masked == {"name": "m.png", "subfolder": "clipspace", "type": "input"}
    whole = pixels((await view(ann, "m.png", type="input", subfolder="clipspace")).content)
    assert whole.getpixel((0, 0)) == (255, 0, 0, 77)
    shown = {
        channel: pixels(
            (await view(ann, "m.png", type="input", subfolder="clipspace", channel=channel)).content
        )
        for channel in ("rgb", "a")
    }
    assert shown["rgb"].getpixel((0, 0)) == (255, 0, 0)
    assert shown["a"].getpixel((0, 0)) == (0, 0, 0, 77)
    for asked, kind in (
        ("webp;80", "WEBP"),
        ("jpeg", "JPEG"),
        ("gif;50", "WEBP"),
        ("", "WEBP"),
        ("jpeg;0", "JPEG"),
    ):
        small = await view(ann, "red.png", type="input", preview=asked)
        assert (pixels(small.content).format, small.headers["content-type"]) == (
            kind,
            f"image/{kind.lower()}",
        )

    wrong = {"{}": 400, "": 400, '{"filename":"nope.png"}': 404, '{"filename":"../red.png"}': 400}
    wrong[json.dumps({"filename": "red.png", "type": "input", "subfolder": "../.."})] = 403
    for reference, status in wrong.items():
        answer = await sent(ann, drawn.getvalue(), "n.png", "mask", original_ref=reference)
        assert answer.status_code == status, reference
    larger = await sent(ann, png(9, 9), "n.png", "mask", original_ref=original)
    assert (larger.status_code, "another size" in larger.json()["error"]["message"]) == (400, True)
    assert sorted((await ann.http.get("/comfy/internal/files/input")).json()) == ["red.png"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 404),
        ({"filename": ""}, 400),
        ({"filename": "nope.png"}, 404),
        ({"filename": "x.png", "type": "models"}, 400),
        ({"filename": "../../x.png"}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "..\\x.png"}, 400),
        ({"filename": "x\0.png"}, 400),
        ({"filename": "y" * 300}, 400),
        ({"filename": "passwd", "subfolder": "../../etc"}, 403),
        ({"filename": "passwd", "subfolder": "/etc"}, 403),
        ({"filename": "passwd", "subfolder": "a/..\\../etc"}, 403),
        ({"filename": "x.png", "subfolder": "a\0b"}, 400),
    ],
)
async def test_names_that_lead_nowhere_are_refused(asked: dict[str, str], status: int, ann: Person) -> None:
    answer = await ann.http.get("/comfy/view", params=asked)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_what_is_no_upload_is_refused_and_nothing_is_kept(ann: Person) -> None:
    good = png()
    for name, form in (
        ("../x.png", {}),
        ("a/x.png", {}),
        ("a\\x.png", {}),
        ("x" * 300, {}),
        ("x.png", {"subfolder": "../x"}),
        ("x.png", {"subfolder": "/x"}),
        ("x.png", {"type": "models"}),
    ):
        assert (await sent(ann, good, name, **form)).status_code == 400, (name, form)
    for body in (b"no picture", b"", good[:60]):
        assert (await sent(ann, body, "x.png")).status_code == 400
    elsewhere = "/comfy/upload/image"
    assert (await ann.http.post(elsewhere, json={})).status_code == 400
    assert (await ann.http.post(elsewhere, files={"other": ("x.png", good)})).status_code == 400
    assert (
        await ann.http.post(elsewhere, data={"image": "text"}, files={"a": ("b", b"c")})
    ).status_code == 400
    cut = {"content-type": "multipart/form-data; boundary=x"}
    assert (await ann.http.post(elsewhere, content=b"--x\r\nhalf", headers=cut)).status_code == 400
    assert (await sent(ann, b"x" * (33 * 1024 * 1024), "x.png")).status_code == 413
    assert (await ann.http.get("/comfy/internal/files/input")).json() == []
    assert (await ann.http.get("/comfy/internal/files/models")).status_code == 400


async def test_sound_films_and_shapes_are_kept_as_they_are(ann: Person, bob: Person) -> None:
    for name, body in FILES.items():
        folder = f"of {name}"
        assert await upload(ann, body, name, subfolder=folder) == {
            "name": name,
            "subfolder": folder,
            "type": "input",
        }
        seen = await view(ann, name, type="input", subfolder=folder)
        assert (seen.status_code, seen.content) == (200, body)
        assert seen.headers["content-type"] == TYPES["." + name.lower().rpartition(".")[2]]
        assert seen.headers["x-content-type-options"] == "nosniff"
        assert (await view(bob, name, type="input", subfolder=folder)).status_code == 404
    for name, body in (
        ("a.wav", HTML),
        ("a.html", FILES["a.wav"]),
        ("a.mp4", FILES["a.wav"]),
        ("a.svg", HTML),
    ):
        assert (await sent(ann, body, name)).status_code == 400
    wav = await upload(ann, FILES["a.wav"], "song.wav")
    assert (await upload(ann, FILES["a.wav"], "song.wav")) == wav
    shown = await view(ann, "song.wav", type="input", preview="webp")
    assert shown.status_code == 400
    (found,) = [each for each in (await ann.get("/inputs?limit=100"))["items"] if each["name"] == "a.wav"]
    assert (found["media_type"], found["width"]) == ("audio/wav", 0)
    image = await ann.ask("GET", f"/inputs/{found['id']}/image")
    assert image.headers["content-type"] == "audio/wav"
    assert image.headers["content-disposition"].startswith("attachment")


async def test_what_the_api_keeps_has_a_name_in_the_editor_and_the_other_way_round(ann: Person) -> None:
    red, blue = png(color=(255, 0, 0)), png(color=(0, 0, 255))
    first = await ann.upload(red, "photo.png")
    assert (await ann.upload(red, "another.png"))["id"] == first["id"]
    await ann.upload(blue, "photo.png")
    await ann.upload(png(9, 9), "C:\\pictures\\..\\sea.png")
    assert sorted((await ann.http.get("/comfy/internal/files/input")).json()) == [
        *("photo (1).png", "photo.png", "sea.png"),
    ]
    assert pixels((await view(ann, "photo.png", type="input")).content).getpixel((0, 0)) == (255, 0, 0)
    assert pixels((await view(ann, "photo (1).png", type="input")).content).getpixel((0, 0)) == (0, 0, 255)
    await upload(ann, png(color=(0, 255, 0)), "green.png")
    assert "green.png" in {each["name"] for each in (await ann.get("/inputs"))["items"]}
    assert (await ann.ask("DELETE", f"/inputs/{first['id']}")).status_code == 200
    ann.head()
    assert "photo.png" not in (await ann.http.get("/comfy/internal/files/input")).json()


async def test_a_runs_files_are_found_by_the_names_that_go_on_counting(served: Whole) -> None:
    async with by_hand(served) as hand, joined(served) as ann, client(served.url) as stranger:
        workflow = await ann.workflow()
        for number in (1, 2):
            claimed = await hand.claim(await ann.run(workflow))
            await hand.start(claimed)
            await hand.store(claimed, png(8 + number, 8), name="blue_00001_.png")
            await hand.succeed(claimed)
            ann.head()
            seen = await view(ann, f"blue_0000{number}_.png")
            assert pixels(seen.content).size == (8 + number, 8)
        assert (await view(ann, "blue_00003_.png")).status_code == 404
        assert (await ann.http.get("/comfy/internal/files/output")).json() == [
            "blue_00002_.png",
            "blue_00001_.png",
        ]
        path = "/comfy/view?filename=blue_00001_.png"
        assert (await stranger.get(path)).status_code == 401


async def test_a_lora_tells_its_owner_of_itself(ann: Person, bob: Person) -> None:
    told = {"ss_tag_frequency": "{}", "ss_base_model_version": "sdxl_base_v1-0"}
    file = {"file": ("soft.safetensors", lora(mark=7, rank=1, width=64, metadata=told))}
    made = (await ann.ask("POST", "/loras", files=file)).json()
    path = (await ann.get(f"/loras/{made['id']}"))["graph_name"]
    for name in (path, "soft.safetensors"):
        answer = await ann.http.get("/comfy/view_metadata/loras", params={"filename": name})
        assert answer.json() == told
    assert (await ann.http.get("/comfy/view_metadata/vae", params={"filename": path})).status_code == 404
    assert (await ann.http.get("/comfy/view_metadata/loras")).status_code == 404
    assert (await bob.http.get("/comfy/view_metadata/loras", params={"filename": path})).status_code == 404
