"""Thumbnails with Pillow: WebP, never larger than the picture, never decoded before its size is known."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from struct import error as StructError

from PIL import Image, ImageOps, UnidentifiedImageError

from services.ports.executing import Picture, Thumbnail

EDGES = (768, 256)  # longest edge in pixels; the larger first, the smaller is made from it
FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "AVIF",
)  # Pillow reads more, and rarer code has more bugs
MAX_PIXELS = 80_000_000  # 240 MB decoded
SMALL_PIXELS = 128 * 128  # made at once: handing it to a thread would cost as much
QUALITY, EFFORT = 80, 2  # WebP; a higher effort doubles the time for a few percent of size
ORIENTATION = 0x0112
SIDEWAYS = {5, 6, 7, 8}  # EXIF orientations that swap width and height

BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    TypeError,
    MemoryError,
    OverflowError,
    StructError,
)


class PillowImaging:
    """Decodes in threads of its own (Pillow lets go of the interpreter); close it."""

    def __init__(self, *, threads: int = 2, max_pixels: int = MAX_PIXELS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="imaging")
        self._max_pixels = max_pixels

    async def picture(self, body: bytes) -> Picture | None:
        opened = _open(body)
        if opened is None:
            return None
        if opened.width * opened.height <= SMALL_PIXELS:
            return _picture(opened, self._max_pixels)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _picture, opened, self._max_pixels)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _open(body: bytes) -> Image.Image | None:
    """Reads the header only."""
    try:
        return Image.open(BytesIO(body), formats=FORMATS)
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
        *BROKEN,
    ):
        return None


def _picture(image: Image.Image, max_pixels: int) -> Picture:
    media_type = Image.MIME.get(image.format or "", "application/octet-stream")
    width, height = image.size
    thumbnails: tuple[Thumbnail, ...] = ()
    try:
        if width * height <= max_pixels:  # asked first: reading a PNG's EXIF decodes it
            if image.getexif().get(ORIENTATION) in SIDEWAYS:
                width, height = height, width
            thumbnails = tuple(reversed(list(_thumbnails(image))))
    except BROKEN:
        thumbnails = ()
    return Picture(width=width, height=height, media_type=media_type, thumbnails=thumbnails)


def _thumbnails(image: Image.Image) -> Iterator[Thumbnail]:
    image.draft("RGB", (EDGES[0] * 2, EDGES[0] * 2))  # JPEG decodes at a fraction of its size
    image.load()
    yield from in_sizes(ImageOps.exif_transpose(plain(image)))


def in_sizes(upright: Image.Image) -> Iterator[Thumbnail]:
    """The larger first. The picture itself is made smaller."""
    previous: tuple[int, int] | None = None
    for edge in EDGES:
        upright.thumbnail((edge, edge))
        if upright.size == previous:
            continue  # a small picture needs one only
        previous = upright.size
        encoded = BytesIO()
        upright.save(encoded, "WEBP", quality=QUALITY, method=EFFORT)
        yield Thumbnail(
            body=encoded.getvalue(), media_type="image/webp", width=upright.width, height=upright.height
        )


def plain(image: Image.Image) -> Image.Image:
    """In a mode that WebP can hold."""
    if image.mode in ("RGB", "RGBA"):
        return image
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
