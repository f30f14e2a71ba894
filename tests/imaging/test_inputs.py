"""Uploaded pictures come out plain: upright, PNG, and nothing of what else was in the file."""

import io
import zlib
from collections.abc import Iterator

import pytest
from PIL import Image, PngImagePlugin

from adapters.imaging.inputs import PillowPictures
from domain.refusals import Invalid

SECRET = b"48.8584 N, 2.2945 E"


@pytest.fixture
def pictures() -> Iterator[PillowPictures]:
    made = PillowPictures(max_pixels=100_000)
    yield made
    made.close()


def encoded(image: Image.Image, kind: str, **more: object) -> io.BytesIO:
    body = io.BytesIO()
    image.save(body, kind, **more)
    body.seek(0)
    return body


async def test_place_and_time_are_gone_and_the_picture_stands_upright(pictures: PillowPictures) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[1] = "N"
    found = await pictures.reencode(
        encoded(Image.new("RGB", (60, 40), "red"), "JPEG", exif=exif, comment=SECRET)
    )
    assert (found.width, found.height, found.media_type) == (40, 60, "image/png")
    assert SECRET not in found.body
    with Image.open(io.BytesIO(found.body)) as kept:
        assert not kept.getexif()
        assert kept.info == {}
        assert kept.getpixel((5, 5))[0] > 200  # type: ignore[index]  # an RGB picture's pixel


async def test_an_avatar_is_a_small_square_and_nothing_else(pictures: PillowPictures) -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    for image, kind, size in (
        (Image.new("RGB", (300, 310), "red"), "JPEG", 256),
        (Image.new("RGBA", (40, 3), (1, 2, 3, 0)), "PNG", 3),
    ):
        found = await pictures.avatar(encoded(image, kind, exif=exif))
        assert (found.width, found.height, found.media_type) == (size, size, "image/webp")
        assert SECRET not in found.body
        with Image.open(io.BytesIO(found.body)) as kept:
            assert (kept.format, kept.size) == ("WEBP", (size, size))
            assert not kept.getexif()


async def test_what_hides_in_or_behind_a_png_is_gone(pictures: PillowPictures) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("prompt", SECRET.decode())
    body = encoded(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "PNG", pnginfo=texts).getvalue()
    found = await pictures.reencode(io.BytesIO(body + b"<script>" + SECRET))
    assert SECRET not in found.body
    with Image.open(io.BytesIO(found.body)) as kept:
        assert (kept.mode, kept.getpixel((0, 0))) == ("RGBA", (1, 2, 3, 4))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
async def test_the_usual_kinds_are_read(pictures: PillowPictures, kind: str) -> None:
    found = await pictures.reencode(encoded(Image.new("RGB", (20, 10)), kind))
    assert (found.width, found.height) == (20, 10)


async def test_the_same_pixels_are_the_same_bytes(pictures: PillowPictures) -> None:
    image = Image.effect_noise((40, 30), 50).convert("RGB")
    bodies = {(await pictures.reencode(encoded(image, kind))).body for kind in ("PNG", "BMP", "TIFF")}
    assert len(bodies) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.4",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 100,
        b"GIF89a" + b"\xff" * 20,
        encoded(Image.new("RGB", (50, 50)), "PNG").getvalue()[:-40],
        encoded(Image.new("RGB", (50, 50)), "JPEG").getvalue()[:200],
    ],
)
async def test_what_is_no_whole_picture_is_refused(pictures: PillowPictures, body: bytes) -> None:
    with pytest.raises(Invalid) as refusal:
        await pictures.reencode(io.BytesIO(body))
    assert refusal.value.errors[0].field == "image"


async def test_a_bomb_is_not_set_off(pictures: PillowPictures) -> None:
    """A few kilobytes that would become gigabytes."""
    for width, height in ((400, 300), (30_000, 30_000)):
        header = encoded(Image.new("1", (1, 1)), "PNG").getvalue()
        bomb = header[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + header[24:]
        bomb = bomb[:29] + zlib.crc32(bomb[12:29]).to_bytes(4, "big") + bomb[33:]
        for read in (pictures.reencode, pictures.avatar):
            with pytest.raises(Invalid, match="too large"):
                await read(io.BytesIO(bomb))
