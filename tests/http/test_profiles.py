"""Profiles over HTTP."""

import io
from typing import Any

import pytest
from PIL import Image

from adapters.http.profiles import ProfileAnswer
from tests.http.person import Person, client, png
from tests.http.problems import refused
from tests.http.test_erasure import erased
from tests.http.test_follows import followed
from tests.http.test_workflows import shaped
from tests.http.whole import Whole
from tests.servers import everything

SCRIPT = "<script>alert('fox')</script>"


async def pictured(person: Person, body: bytes) -> Any:
    files = {"image": ("me.png", body, "image/svg+xml")}
    return await person.ask("PUT", "/accounts/me/avatar", files=files)


def photo(width: int, height: int) -> bytes:
    exif, body = Image.Exif(), io.BytesIO()
    exif[0x010E] = "48.8584 N, 2.2945 E"
    Image.new("RGB", (width, height), "red").save(body, "JPEG", exif=exif)
    return body.getvalue()


async def test_a_profile_is_shown_to_others_as_it_was_written(
    ann: Person, bob: Person, nobody: Person
) -> None:
    said = {"display_name": SCRIPT, "bio": f"Foxes.\n{SCRIPT}", "links": ["https://example.org/'onload=x"]}
    answer = await ann.ask("PATCH", "/accounts/me", json=said)
    assert answer.json()["position"] > 0
    assert (await ann.ask("PATCH", "/accounts/me", json=said)).json()["position"] == 0
    await followed(bob, ann.name)
    answer = await bob.ask("GET", f"/accounts/{ann.name.upper()}")
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == (
        "application/json",
        "nosniff",
    )
    shown = answer.json()
    shaped(ProfileAnswer, shown)
    assert {name: shown[name] for name in said} == said
    assert (shown["username"], shown["followers"], shown["followed"]) == (ann.name, 1, True)
    assert (shown["avatar_url"], shown["workflows"]) == (None, 0)
    assert await ann.get("/accounts/me") == shown | {"followed": False}
    for name in (ann.name, ann.id, "nobody-at-all"):
        assert (
            refused(await nobody.ask("GET", f"/accounts/{name}"), 404)["detail"]
            == "There is no such account."
        )
    workflow = await ann.workflow("Shown", public=True)
    assert await nobody.get(f"/accounts/{ann.id}") == shown | {"followed": False, "workflows": 1}
    await ann.ask("DELETE", f"/workflows/{workflow}")
    refused(await nobody.ask("GET", f"/accounts/{ann.name}"), 404)


async def test_a_picture_is_cut_out_and_made_small(ann: Person, nobody: Person) -> None:
    assert (await pictured(ann, photo(900, 600))).is_success
    url = (await ann.get("/accounts/me"))["avatar_url"]
    async with client() as http:
        found = await http.get(url)
        assert found.headers["content-type"] == "image/webp"
        assert (found.headers["x-content-type-options"], "set-cookie" in found.headers) == ("nosniff", False)
        assert b"48.8584" not in found.content
        with Image.open(io.BytesIO(found.content)) as image:
            assert (image.format, image.size, dict(image.getexif())) == ("WEBP", (256, 256), {})
        assert (await http.get(url, headers={"If-None-Match": found.headers["etag"]})).status_code == 304
        assert (await pictured(ann, png(20, 10))).is_success
        refused(await http.get(url), 404)
        url = (await ann.get("/accounts/me"))["avatar_url"]
        with Image.open(io.BytesIO((await http.get(url)).content)) as image:
            assert image.size == (10, 10)
        assert (await ann.ask("DELETE", "/accounts/me/avatar")).is_success
        refused(await http.get(url), 404)
    assert (await ann.get("/accounts/me"))["avatar_url"] is None


@pytest.mark.parametrize(
    "body", [b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", b"", b"GIF89a"]
)
async def test_what_is_no_picture_is_not_shown(ann: Person, body: bytes) -> None:
    refused(await pictured(ann, body), 400, 422)
    assert (await ann.get("/accounts/me"))["avatar_url"] is None


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"bio": 1},
        {"username": "root"},
        {"role": "admin"},
        {"links": ["javascript:alert(1)"]},
        {"links": "x"},
    ],
)
async def test_what_cannot_be_shown_is_refused(ann: Person, said: dict[str, Any]) -> None:
    before = await ann.get("/accounts/me")
    refused(await ann.ask("PATCH", "/accounts/me", json=said), 422)
    assert await ann.get("/accounts/me") == before


async def test_a_profile_goes_with_the_account(served: Whole, ann: Person, bob: Person) -> None:
    secret = f"fox-of-{ann.name}"
    await ann.ask("PATCH", "/accounts/me", json={"display_name": secret, "bio": secret})
    await pictured(ann, png())
    shown = await ann.get("/accounts/me")
    assert secret in everything(served.database.url)
    await erased(ann)
    assert secret not in everything(served.database.url)
    refused(await bob.ask("GET", f"/accounts/{ann.id}"), 404)
    async with client() as http:
        refused(await http.get(shown["avatar_url"]), 404)
