"""A rendition: how a picture is handed out. What was made stays as it is; this is what others are given of it."""

from enum import StrEnum

from msgspec import Struct

from domain.refusals import FieldError, Invalid

MIN_QUALITY, MAX_QUALITY = 10, 100
STEP = 5  # of the quality: each is kept by itself for a while
NOT_POSSIBLE = "Pictures cannot be handed out like this."


class Format(StrEnum):
    ORIGINAL = "original"
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


class Rendition(Struct, frozen=True, kw_only=True):
    """`quality`: of JPEG and WebP. `metadata`: whether the file tells how it was made, as ComfyUI has it tell."""

    format: Format = Format.ORIGINAL
    quality: int = 90
    metadata: bool = True


AS_MADE = Rendition()


def check(rendition: Rendition) -> Rendition:
    """Raises Invalid."""
    if not _possible(rendition.quality):
        reason = f"It must be {MIN_QUALITY} to {MAX_QUALITY}, in steps of {STEP}."
        raise Invalid(NOT_POSSIBLE, FieldError("quality", reason))
    return rendition


def in_short(rendition: Rendition) -> str:
    """The same word for all that come to the same: `webp-80-bare`."""
    lossy = rendition.format in (Format.JPEG, Format.WEBP)
    words = (
        str(rendition.format),
        *((str(rendition.quality),) if lossy else ()),
        *(() if rendition.metadata else ("bare",)),
    )
    return "-".join(words)


def from_short(text: str) -> Rendition | None:
    """None where it is none of ours."""
    head, *rest = text.split("-")
    bare = rest[-1:] == ["bare"]
    numbers = rest[:-1] if bare else rest
    if head not in set(Format) or len(numbers) > 1 or any(len(each) > 3 for each in numbers):
        return None
    if not all(each.isascii() and each.isdigit() for each in numbers):
        return None
    quality = int(numbers[0]) if numbers else Rendition().quality
    found = Rendition(format=Format(head), quality=quality, metadata=not bare)
    return found if in_short(found) == text and _possible(quality) else None


def _possible(quality: int) -> bool:
    return MIN_QUALITY <= quality <= MAX_QUALITY and quality % STEP == 0
