from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image

from adapters.imaging.thumbnails import PillowImaging


@pytest.fixture
def imaging() -> Iterator[PillowImaging]:
    imaging = PillowImaging(max_pixels=4_000_000)
    yield imaging
    imaging.close()


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    body = BytesIO()
    image.save(body, form, **options)
    return body.getvalue()


def opened(body: bytes) -> Image.Image:
    image = Image.open(BytesIO(body))
    image.load()
    return image


async def test_a_large_picture_gets_a_small_and_a_middle_thumbnail(imaging: PillowImaging) -> None:
    picture = await imaging.picture(encoded(Image.new("RGB", (1600, 800), "red")))

    assert picture is not None
    assert (picture.width, picture.height, picture.media_type) == (1600, 800, "image/png")
    assert [(thumb.width, thumb.height) for thumb in picture.thumbnails] == [(256, 128), (768, 384)]
    assert all(opened(thumb.body).format == "WEBP" for thumb in picture.thumbnails)
    assert [opened(thumb.body).size for thumb in picture.thumbnails] == [(256, 128), (768, 384)]


async def test_a_small_picture_is_not_made_larger(imaging: PillowImaging) -> None:
    picture = await imaging.picture(encoded(Image.new("RGB", (64, 48), "red")))

    assert picture is not None
    assert [(thumb.width, thumb.height) for thumb in picture.thumbnails] == [(64, 48)]


async def test_a_picture_is_shown_upright(imaging: PillowImaging) -> None:
    image = Image.new("RGB", (400, 200), "red")
    image.paste("blue", (0, 0, 200, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    picture = await imaging.picture(encoded(image, "JPEG", exif=exif))

    assert picture is not None
    assert (picture.width, picture.height) == (200, 400)
    thumbnail = opened(picture.thumbnails[0].body).convert("RGB")
    assert thumbnail.size == (128, 256)
    top = thumbnail.getpixel((64, 10))
    assert isinstance(top, tuple)
    assert top[2] > 200


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
async def test_every_kind_of_pixel_gives_a_thumbnail(imaging: PillowImaging, mode: str) -> None:
    form = "TIFF" if mode in ("CMYK", "I", "F") else "PNG"
    picture = await imaging.picture(encoded(Image.new(mode, (300, 300)), form))

    assert picture is not None
    assert picture.thumbnails


async def test_a_decompression_bomb_is_measured_but_not_decoded(imaging: PillowImaging) -> None:
    bomb = encoded(Image.new("1", (3000, 3000)))
    assert len(bomb) < 4000
    picture = await imaging.picture(bomb)

    assert picture is not None
    assert (picture.width, picture.height, picture.thumbnails) == (3000, 3000, ())


async def test_a_monstrous_header_is_no_picture(imaging: PillowImaging) -> None:
    monster = bytearray(encoded(Image.new("1", (8, 8))))
    monster[16:24] = (60_000).to_bytes(4, "big") * 2
    assert await imaging.picture(bytes(monster)) is None


async def test_a_truncated_picture_has_a_size_and_no_thumbnails(imaging: PillowImaging) -> None:
    body = encoded(Image.effect_noise((500, 500), 60))
    picture = await imaging.picture(body[: len(body) // 2])

    assert picture is not None
    assert (picture.width, picture.thumbnails) == (500, ())


@pytest.mark.parametrize("body", [b"", b"\x00" * 100, b"<html></html>", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n"])
async def test_other_bytes_are_no_picture(imaging: PillowImaging, body: bytes) -> None:
    assert await imaging.picture(body) is None
