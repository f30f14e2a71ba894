"""Pictures as they are handed out: without what their file tells, or in another format. Nothing is ever enlarged.

A converted picture tells what the original told, in the way ComfyUI reads it: texts of a PNG, EXIF of a WebP (and of a
JPEG, where it has room for it).
"""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile, PngInfo

from adapters.imaging.bare import PNG, BrokenError, bare, png_parts
from adapters.imaging.thumbnails import BROKEN, FORMATS, ORIENTATION, plain
from domain.refusals import Invalid
from domain.rendition import Format, Rendition
from services.ports.picturing import Rendered

MAX_PIXELS = 80_000_000  # 320 MB decoded
EFFORT = 4  # of PNG's nine, and of WebP's six: higher ones take twice as long for a few percent
UPRIGHT_QUALITY = (
    95  # of a JPEG or WebP that has to be turned, as its file may not tell any more that it lies
)
FIRST_TAG = 0x0110  # where ComfyUI begins, going down: "prompt:{...}", "workflow:{...}"
NOTES = ("prompt", "workflow")
JPEG_EXIF_BYTES = 65_000
UNREADABLE = "The picture cannot be read: it can be handed out as it is only."
TOO_LARGE = "The picture is too large to be handed out in another way than as it is."
NO_PICTURE = "Only of PNG, JPEG and WebP can be left out what the file tells of how it was made."


class PillowRenditions:
    """Implements Renderer. In threads of its own, so many at a time; close it."""

    def __init__(self, *, threads: int = 2, max_pixels: int = MAX_PIXELS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="renditions")
        self._max_pixels = max_pixels

    async def render(self, body: bytes, rendition: Rendition) -> Rendered | None:
        """Raises Invalid."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _render, body, rendition, self._max_pixels)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _render(body: bytes, rendition: Rendition, max_pixels: int) -> Rendered | None:
    try:
        with Image.open(BytesIO(body), formats=FORMATS) as opened:
            made = opened.format or ""
            moving = getattr(opened, "is_animated", False)
            same = rendition.format is Format.ORIGINAL or rendition.format == made.lower()
            if same or moving:  # what moves keeps its format
                return None if rendition.metadata else _bare(body, opened, max_pixels)
            _check_size(opened, max_pixels)
            return _converted(opened, rendition)
    except BrokenError as error:
        raise Invalid(UNREADABLE) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Invalid(TOO_LARGE) from error
    except (UnidentifiedImageError, *BROKEN) as error:
        raise Invalid(UNREADABLE) from error


def _bare(body: bytes, opened: Image.Image, max_pixels: int) -> Rendered | None:
    """None where there is nothing to leave out."""
    made = opened.format or ""
    if made not in ("PNG", "JPEG", "WEBP"):
        raise Invalid(NO_PICTURE)
    if _turned(body, opened, max_pixels):
        upright = Rendition(format=Format(made.lower()), quality=UPRIGHT_QUALITY, metadata=False)
        return _converted(opened, upright)
    stripped, media_type = bare(body)
    return None if stripped == body else Rendered(stripped, media_type)


def _turned(body: bytes, opened: Image.Image, max_pixels: int) -> bool:
    if body.startswith(PNG):
        if not any(name == b"eXIf" for name, _ in png_parts(body)):
            return False
        _check_size(opened, max_pixels)  # reading a PNG's EXIF decodes it
    return opened.getexif().get(ORIENTATION, 1) != 1 and not getattr(opened, "is_animated", False)


def _check_size(opened: Image.Image, max_pixels: int) -> None:
    if opened.width * opened.height > max_pixels:  # the header says so: nothing is decoded
        raise Invalid(TOO_LARGE)


def _converted(opened: Image.Image, rendition: Rendition) -> Rendered:
    notes = _notes(opened) if rendition.metadata else {}
    colours = opened.info.get("icc_profile") if opened.mode in ("RGB", "RGBA", "P") else None
    opened.load()
    upright = ImageOps.exif_transpose(plain(opened))
    alone = Image.new(upright.mode, upright.size)
    alone.paste(upright)
    encoded = BytesIO()
    match rendition.format:
        case Format.PNG:
            alone.save(encoded, "PNG", compress_level=EFFORT, pnginfo=_texts(notes), icc_profile=colours)
        case Format.WEBP:
            told = _exif(notes)
            quality = rendition.quality
            alone.save(encoded, "WEBP", quality=quality, method=EFFORT, exif=told, icc_profile=colours)
        case _:
            told = _exif(notes)
            if len(told) > JPEG_EXIF_BYTES:
                told = b""
            alone = _without_holes(alone)
            alone.save(encoded, "JPEG", quality=rendition.quality, exif=told, icc_profile=colours)
    kind = "jpeg" if rendition.format is Format.JPEG else str(rendition.format)
    return Rendered(encoded.getvalue(), f"image/{kind}")


def _without_holes(image: Image.Image) -> Image.Image:
    """On white: a JPEG has no transparency."""
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _notes(opened: Image.Image) -> dict[str, str]:
    """What the file tells of how it was made, by name."""
    if isinstance(opened, PngImageFile):
        return {name: opened.text[name] for name in NOTES if name in opened.text}
    found: dict[str, str] = {}
    for value in dict(opened.getexif()).values():
        name, colon, text = value.partition(":") if isinstance(value, str) else ("", "", "")
        if colon and name in NOTES:
            found[name] = text
    return found


def _texts(notes: dict[str, str]) -> PngInfo:
    told = PngInfo()
    for name, text in notes.items():
        told.add_text(name, text)
    return told


def _exif(notes: dict[str, str]) -> bytes:
    exif = Image.Exif()
    for place, (name, text) in enumerate(notes.items()):
        exif[FIRST_TAG - place] = f"{name}:{_escaped(text)}"
    return exif.tobytes() if notes else b""


def _escaped(text: str) -> str:
    """EXIF is ASCII; what is told is JSON, where every letter can be written with ASCII alone."""
    return "".join(letter if letter < "\x80" else json.dumps(letter)[1:-1] for letter in text)
