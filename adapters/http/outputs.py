"""Files that runs produced, by URLs that are good for whoever was given them, for an hour or two."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from adapters.http.answers import ANYBODY, answers
from adapters.http.files import disposition, sent
from adapters.http.parts import Parts
from commands.ports import Download, ObjectMissingError
from domain.ids import Digest, RunId
from domain.refusals import FieldError, Invalid, NotFound
from domain.rendition import AS_MADE, Format, Rendition, check, from_short, in_short

GOOD_FOR_S = 3600
INLINE = {"image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4", "video/webm"}
"""What a browser may show by itself; anything else could be a page that runs scripts in our name."""
RENDERED = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp"}
"""What is handed out in another rendition unasked, because its owner wants it so; and how its format is called."""
EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
NO_OUTPUT = "There is no such output, or the link has expired: look up the run for a new one."
FIXED = "This link is for one rendition."

WantedFormat: TypeAlias = Annotated[
    Literal["original", "png", "jpeg", "webp"] | None,
    QueryParameter(name="format", description="Of a picture; left out: as it was made.", examples=[]),
]
WantedQuality: TypeAlias = Annotated[
    int | None,
    QueryParameter(name="quality", description="Of JPEG and WebP: 10 to 100, in steps of 5.", examples=[]),
]
WantedMetadata: TypeAlias = Annotated[
    Literal["on", "off"] | None,
    QueryParameter(
        name="metadata",
        description="`off`: without what the file tells of how it was made, such as prompt and workflow.",
        examples=[],
    ),
]
SignedRendition: TypeAlias = Annotated[
    str,
    QueryParameter(name="as", description="The rendition that the link is for, as it was made.", examples=[]),
]


@get(
    "/outputs/{run:uuid}/{digest:str}/{name:str}",
    security=ANYBODY,
    responses=answers(200, bytes, 404, 416, 422, 429, media_type="*/*"),
)
async def output(
    run: FromPath[UUID],
    digest: FromPath[str],
    name: FromPath[str],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    expires: FromQuery[int] = 0,
    signature: FromQuery[str] = "",
    media_type: FromQuery[str] = "application/octet-stream",
    rendition: SignedRendition = "",
    wanted_format: WantedFormat = None,
    quality: WantedQuality = None,
    metadata: WantedMetadata = None,
) -> Response[Any]:
    """One file, or a part of it (`Range`). The signature in the URL is the key to it. 404 for every other URL.

    A picture may be asked for in another format, or without what its file tells of how it was made; unless the link
    says already how it is handed out. Where files are kept in S3 the answer may be 307: the file itself is at the
    address in `Location`.
    """
    answer, named = None, Digest(digest)
    if parts.signatures.check_object_signature(RunId(run), named, expires, signature, parts.now(), rendition):
        asked = wanted(AS_MADE, wanted_format, quality, metadata)
        signed = from_short(rendition) if rendition else AS_MADE
        if rendition and asked != AS_MADE:
            raise Invalid(FIXED, FieldError("format", FIXED))
        answer = await handed_out(named, name, media_type, signed if rendition else asked, parts, request)
    if answer is None:
        raise NotFound(NO_OUTPUT)
    return answer


def wanted(base: Rendition, format: str | None, quality: int | None, metadata: str | None) -> Rendition:
    """Raises Invalid."""
    return check(
        Rendition(
            format=base.format if format is None else Format(format),
            quality=base.quality if quality is None else quality,
            metadata=base.metadata if metadata is None else metadata == "on",
        )
    )


async def handed_out(
    digest: Digest,
    name: str,
    media_type: str,
    rendition: Rendition | None,
    parts: Parts,
    request: Request[Any, Any, Any],
) -> Response[Any] | None:
    """None: there is no such file. Raises Invalid, TooMany, NotThere."""
    if rendition is not None and rendition != AS_MADE:
        try:
            made = await parts.renditions.of(digest, rendition)
        except ObjectMissingError:
            return None
        if made is not None:
            digest, media_type = made.digest, made.media_type
            name = Path(name).stem + EXTENSIONS[media_type]
    shown = media_type in INLINE
    kind = media_type if shown else "application/octet-stream"
    return await sent(parts.objects, digest, Download(kind, disposition(name, shown=shown)), request)


def rendition_of(row: Mapping[str, Any], media_type: str) -> Rendition | None:
    """How its owner wants a file of a row to be handed out; None: as it is."""
    if not row.get("rendition") or media_type not in RENDERED:
        return None
    found = msgspec.convert(row["rendition"], Rendition)
    if found.metadata and found.format in (Format.ORIGINAL, RENDERED[media_type]):
        return None
    return found


def with_urls(run: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """Give every output and thumbnail of a run a URL. The same one within an hour, so that caches work."""
    for made in run.get("outputs") or ():
        output_urls(run["id"], made, run, parts)
    run.pop("rendition", None)
    return run


def output_urls(run: str, made: dict[str, Any], wanted_by: Mapping[str, Any], parts: Parts) -> None:
    """`wanted_by`: the row that says in which rendition."""
    expires = _expires(parts)
    rendition = rendition_of(wanted_by, made["media_type"])
    made["url"] = _url(run, made, made["name"], expires, parts, rendition)
    stem = Path(made["name"]).stem
    for thumbnail in made.get("thumbnails") or ():
        thumbnail["url"] = _url(run, thumbnail, f"{stem}.{thumbnail['width']}.webp", expires, parts)


def thumbnail_urls(run: dict[str, Any], parts: Parts) -> None:
    """Of a run in a list."""
    for thumbnail in run["thumbnails"]:
        name = f"{thumbnail['width']}.webp"
        thumbnail["url"] = _url(run["id"], thumbnail, name, _expires(parts), parts)


def _expires(parts: Parts) -> int:
    return (int(parts.now().timestamp()) // GOOD_FOR_S + 2) * GOOD_FOR_S


def _url(
    run: str,
    file: dict[str, Any],
    name: str,
    expires: int,
    parts: Parts,
    rendition: Rendition | None = None,
) -> str:
    short, media_type = "", file["media_type"]
    if rendition is not None:
        short = in_short(rendition)
        if rendition.format is not Format.ORIGINAL:
            media_type = f"image/{rendition.format}"
            name = Path(name).stem + EXTENSIONS[media_type]
    signature = parts.signatures.object_signature(RunId(UUID(run)), file["digest"], expires, short)
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name) or "output"
    return (
        f"{parts.public_url}/api/v1/outputs/{run}/{file['digest']}/{safe}"
        f"?expires={expires}&signature={signature}&media_type={quote(media_type, safe='/')}"
        + (f"&as={short}" if short else "")
    )


ROUTER = Router("/", route_handlers=[output], tags=["outputs"])
