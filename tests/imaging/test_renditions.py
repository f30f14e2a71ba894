"""Pictures as they are handed out: told what they are, or nothing; in another format, or refused."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from adapters.imaging.bare import BrokenError, bare
from adapters.imaging.renditions import PillowRenditions
from domain.refusals import Invalid
from domain.rendition import Format, Rendition
from services.ports.picturing import Rendered

SECRET = '{"3": {"inputs": {"text": "a secret Gr\\u00f6\\u00dfe"}}}'
BARE = Rendition(metadata=False)
KINDS = ("PNG", "JPEG", "WEBP")


@pytest.fixture
def renditions() -> Iterator[PillowRenditions]:
    made = PillowRenditions(max_pixels=100_000)
    yield made
    made.close()


def noise(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    return Image.effect_noise(size, 60).convert(mode)


def told(kind: str, image: Image.Image | None = None, turned: bool = False) -> bytes:
    """A picture that tells its prompt, as ComfyUI has it do."""
    body, exif, texts = io.BytesIO(), Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x0110] = f"prompt:{SECRET}"
    if turned:
        exif[0x0112] = 6
    texts.add_text("prompt", SECRET)
    texts.add_text("parameters", SECRET, zip=True)
    more: dict[str, Any] = {"pnginfo": texts} if kind == "PNG" else {"exif": exif}
    if kind == "PNG" and turned:
        more["exif"] = exif
    (image or noise()).save(body, kind, **more)
    return body.getvalue()


def opened(body: bytes) -> Image.Image:
    found = Image.open(io.BytesIO(body))
    found.load()
    return found


def notes(body: bytes) -> set[str]:
    image = opened(body)
    texts = getattr(image, "text", {})
    return set(texts) | {str(value) for value in image.getexif().values()}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_file_tells_is_left_out_and_no_pixel_changes(
    renditions: PillowRenditions, kind: str
) -> None:
    body = told(kind)
    assert b"secret" in body
    found = await renditions.render(body + b"a secret behind it", BARE)
    assert isinstance(found, Rendered)
    assert b"secret" not in found.body
    assert notes(found.body) == set()
    assert opened(found.body).tobytes() == opened(body).tobytes()
    assert found.media_type == f"image/{kind.lower()}"
    assert await renditions.render(found.body, BARE) is None  # there is nothing left to leave out


@pytest.mark.parametrize("kind", KINDS)
async def test_a_picture_that_lies_on_its_side_is_turned(renditions: PillowRenditions, kind: str) -> None:
    found = await renditions.render(told(kind, turned=True), BARE)
    assert found is not None
    assert opened(found.body).size == (40, 60)
    assert notes(found.body) == set()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", [Format.PNG, Format.JPEG, Format.WEBP])
async def test_a_converted_picture_tells_what_it_told(
    renditions: PillowRenditions, kind: str, wanted: Format
) -> None:
    found = await renditions.render(told(kind), Rendition(format=wanted))
    if wanted == kind.lower():
        assert found is None
        return
    assert found is not None
    image = opened(found.body)
    assert image.format == wanted.upper()
    assert image.size == (60, 40)
    kept = getattr(image, "text", {}).get("prompt") or image.getexif()[0x0110].removeprefix("prompt:")
    assert kept == SECRET
    without = await renditions.render(told(kind), Rendition(format=wanted, metadata=False))
    assert without is not None
    assert notes(without.body) == set()
    assert b"secret" not in without.body


async def test_letters_of_all_scripts_survive(renditions: PillowRenditions) -> None:
    texts, body = PngImagePlugin.PngInfo(), io.BytesIO()
    texts.add_itxt("prompt", '{"text": "Größe \U0001f98a"}')
    noise().save(body, "PNG", pnginfo=texts)
    found = await renditions.render(body.getvalue(), Rendition(format=Format.WEBP))
    assert found is not None
    kept = opened(found.body).getexif()[0x0110].removeprefix("prompt:")
    assert json.loads(kept) == {"text": "Größe \U0001f98a"}


async def test_quality_makes_files_smaller(renditions: PillowRenditions) -> None:
    for format in (Format.JPEG, Format.WEBP):
        sizes = [
            len(found.body)
            for quality in (95, 30)
            if (found := await renditions.render(told("PNG"), Rendition(format=format, quality=quality)))
        ]
        assert sizes[0] > sizes[1] * 1.5


async def test_holes_are_white_in_a_jpeg(renditions: PillowRenditions) -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    found = await renditions.render(told("PNG", clear), Rendition(format=Format.JPEG))
    assert found is not None
    assert min(opened(found.body).getpixel((8, 8))) > 250  # type: ignore[arg-type, type-var]


async def test_what_moves_keeps_its_format(renditions: PillowRenditions) -> None:
    body = io.BytesIO()
    frames = [noise(), noise()]
    frames[0].save(body, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert await renditions.render(body.getvalue(), Rendition(format=Format.JPEG)) is None
    gif = io.BytesIO()
    frames[0].convert("P").save(gif, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(Invalid):
        await renditions.render(gif.getvalue(), BARE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not a picture",
        told("PNG")[:200],
        told("JPEG")[:200],
        told("WEBP")[:200],
        told("PNG", noise(size=(400, 300))),
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 40,
    ],
    ids=["nothing", "text", "half a png", "half a jpeg", "half a webp", "too large", "nonsense"],
)
async def test_what_cannot_be_converted_is_refused(renditions: PillowRenditions, body: bytes) -> None:
    with pytest.raises(Invalid):
        await renditions.render(body, Rendition(format=Format.WEBP if b"WEBP" not in body else Format.PNG))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_refused_or_whole(kind: str) -> None:
    body = told(kind)
    for end in range(0, len(body), max(1, len(body) // 300)):
        try:
            found, _ = bare(body[:end])
        except BrokenError:
            continue
        assert b"secret" not in found
