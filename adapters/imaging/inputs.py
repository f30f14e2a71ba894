"""Pictures that people upload, encoded anew: a plain PNG comes out, or thumbnails, whatever was in it.

Nothing of where and when it was taken stays, nor anything that hides behind the picture in the file.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import IO

from PIL import Image, ImageOps, UnidentifiedImageError

from adapters.imaging.thumbnails import BROKEN, FORMATS, QUALITY, in_sizes, plain
from adapters.imaging.thumbnails import EFFORT as SMALL_EFFORT
from domain.refusals import FieldError, Invalid
from services.ports.executing import Thumbnail
from services.ports.picturing import Reencoded

MAX_PIXELS = 50_000_000  # 200 MB decoded
AVATAR_EDGE = 256  # pixels
EFFORT = 4  # of PNG's nine: a higher one takes twice as long for a few percent
KINDS = ", ".join(FORMATS)
OTHER_SIZE = "The mask has another size than the picture."


class PillowPictures:
    """Implements Pictures. Decodes in threads of its own, so many at a time; close it."""

    def __init__(self, *, threads: int = 2, max_pixels: int = MAX_PIXELS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pictures")
        self._max_pixels = max_pixels

    async def reencode(self, file: IO[bytes]) -> Reencoded:
        """Raises Invalid."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _reencode, file, self._max_pixels)

    async def thumbnails(self, file: IO[bytes]) -> tuple[Thumbnail, ...]:
        """Raises Invalid."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _thumbnails, file, self._max_pixels)

    async def masked(self, picture: bytes, mask: IO[bytes]) -> Reencoded:
        """Raises Invalid."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _masked, picture, mask, self._max_pixels)

    async def channel(self, picture: bytes, *, alpha: bool) -> bytes:
        """Raises Invalid."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _channel, picture, alpha, self._max_pixels)

    async def avatar(self, file: IO[bytes]) -> Reencoded:
        """Raises Invalid."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _avatar, file, self._max_pixels)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _reencode(file: IO[bytes], max_pixels: int) -> Reencoded:
    bare = _bare(file, max_pixels)
    return Reencoded(_as_png(bare), "image/png", bare.width, bare.height)


def _masked(picture: bytes, mask: IO[bytes], max_pixels: int) -> Reencoded:
    drawn, seen = _bare(mask, max_pixels), _bare(BytesIO(picture), max_pixels)
    if drawn.size != seen.size:
        raise Invalid(OTHER_SIZE, FieldError("image", OTHER_SIZE))
    made = seen.convert("RGBA")
    made.putalpha(drawn.convert("RGBA").getchannel("A"))
    return Reencoded(_as_png(made), "image/png", made.width, made.height)


def _channel(picture: bytes, alpha: bool, max_pixels: int) -> bytes:
    """The transparency is that of a black picture, as ComfyUI hands it out."""
    whole = _bare(BytesIO(picture), max_pixels)
    if not alpha:
        return _as_png(whole.convert("RGB"))
    black = Image.new("RGBA", whole.size)
    black.putalpha(whole.convert("RGBA").getchannel("A"))
    return _as_png(black)


def _as_png(image: Image.Image) -> bytes:
    encoded = BytesIO()
    image.save(encoded, "PNG", compress_level=EFFORT)
    return encoded.getvalue()


def _thumbnails(file: IO[bytes], max_pixels: int) -> tuple[Thumbnail, ...]:
    return tuple(reversed(list(in_sizes(_bare(file, max_pixels)))))


def _avatar(file: IO[bytes], max_pixels: int) -> Reencoded:
    bare = _bare(file, max_pixels)
    edge, encoded = min(AVATAR_EDGE, *bare.size), BytesIO()
    small = ImageOps.fit(bare, (edge, edge))
    small.save(encoded, "WEBP", quality=QUALITY, method=SMALL_EFFORT)
    return Reencoded(encoded.getvalue(), "image/webp", edge, edge)


def _bare(file: IO[bytes], max_pixels: int) -> Image.Image:
    """Upright, and without what the file had beside the pixels. Raises Invalid."""
    try:
        with Image.open(file, formats=FORMATS) as opened:
            if opened.width * opened.height > max_pixels:  # the header says so: nothing is decoded
                raise _too_large(max_pixels)
            opened.load()
            upright = ImageOps.exif_transpose(plain(opened))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(max_pixels) from error
    except (UnidentifiedImageError, *BROKEN) as error:
        raise Invalid(
            "The picture cannot be read.", FieldError("image", f"It must be one of {KINDS}, and whole.")
        ) from error
    bare = Image.new(upright.mode, upright.size)
    bare.paste(upright)
    return bare


def _too_large(max_pixels: int) -> Invalid:
    return Invalid(
        "The picture is too large.", FieldError("image", f"It may have {max_pixels} pixels at most.")
    )
