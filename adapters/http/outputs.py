"""Files that runs produced, by URLs that are good for whoever was given them, for an hour or two."""

from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from adapters.http.answers import ANYBODY, answers
from adapters.http.files import disposition, sent
from adapters.http.parts import Parts
from commands.ports import Download
from domain.ids import Digest, RunId
from domain.refusals import NotFound

GOOD_FOR_S = 3600
INLINE = {"image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4", "video/webm"}
"""What a browser may show by itself; anything else could be a page that runs scripts in our name."""
NO_OUTPUT = "There is no such output, or the link has expired: look up the run for a new one."


@get(
    "/outputs/{run:uuid}/{digest:str}/{name:str}",
    security=ANYBODY,
    responses=answers(200, bytes, 404, 416, media_type="*/*"),
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
) -> Response[Any]:
    """One file, or a part of it (`Range`). The signature in the URL is the key to it. 404 for every other URL.

    Where files are kept in S3 the answer may be 307: the file itself is at the address in `Location`.
    """
    answer, named = None, Digest(digest)
    if parts.signatures.check_object_signature(RunId(run), named, expires, signature, parts.now()):
        shown = media_type in INLINE
        kind = media_type if shown else "application/octet-stream"
        answer = await sent(parts.objects, named, Download(kind, disposition(name, shown=shown)), request)
    if answer is None:
        raise NotFound(NO_OUTPUT)
    return answer


def with_urls(run: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """Give every output and thumbnail of a run a URL. The same one within an hour, so that caches work."""
    now = int(parts.now().timestamp())
    expires = (now // GOOD_FOR_S + 2) * GOOD_FOR_S
    for made in run.get("outputs") or ():
        made["url"] = _url(run["id"], made, made["name"], expires, parts)
        stem = Path(made["name"]).stem
        for thumbnail in made.get("thumbnails") or ():
            name = f"{stem}.{thumbnail['width']}.webp"
            thumbnail["url"] = _url(run["id"], thumbnail, name, expires, parts)
    return run


def _url(run: str, file: dict[str, Any], name: str, expires: int, parts: Parts) -> str:
    signature = parts.signatures.object_signature(RunId(UUID(run)), file["digest"], expires)
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name) or "output"
    return (
        f"{parts.public_url}/api/v1/outputs/{run}/{file['digest']}/{safe}"
        f"?expires={expires}&signature={signature}&media_type={quote(file['media_type'], safe='/')}"
    )


ROUTER = Router("/", route_handlers=[output], tags=["outputs"])
