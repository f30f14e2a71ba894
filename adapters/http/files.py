"""An object as the answer to a request: streamed, in part where a part is asked for, or left to the object store."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.response import Stream

from adapters.http.problems import NotThere
from commands.ports import Download, ObjectMissingError, Objects
from domain.ids import Digest

SMALL_BYTES = 256 * 1024  # a thumbnail, most of the time: sent at once
CACHED = "private, max-age=3600, immutable"
LINK_CACHED = "private, max-age=60"  # a link is good for longer than that
GUARDED = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


async def sent(
    objects: Objects, digest: Digest, download: Download, request: Request[Any, Any, Any]
) -> Response[Any] | None:
    """None: there is no such object. Raises NotThere for a part that it does not have, ObjectsAwayError."""
    etag = f'"{digest}"'
    headers = GUARDED | {"Cache-Control": CACHED, "ETag": etag, "Accept-Ranges": "bytes"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(None, status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    size = await objects.size(digest)
    if size is None:
        return None
    if (url := await objects.link(digest, download)) is not None:
        there = GUARDED | {"Location": url, "Cache-Control": LINK_CACHED}
        return Response(None, status_code=HTTPStatus.TEMPORARY_REDIRECT, headers=there)
    headers["Content-Disposition"] = download.disposition
    part = asked_for(request.headers, size, etag)
    start, end = part or (0, size)
    status = HTTPStatus.OK
    if part is not None:
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    body = objects.read(digest, start, end)
    if end - start <= SMALL_BYTES:
        try:
            whole = b"".join([piece async for piece in body])
        except ObjectMissingError:
            return None
        return Response(whole, status_code=status, headers=headers, media_type=download.media_type)
    headers["Content-Length"] = str(end - start)
    return Stream(closing(body), status_code=status, headers=headers, media_type=download.media_type)


def disposition(name: str, *, shown: bool) -> str:
    """`Content-Disposition`, with the name in a form that no character of it can leave."""
    quoted = quote(name, safe="")
    named = f'filename="{quoted}"' if quoted == name else f"filename*=utf-8''{quoted}"
    return f"{'inline' if shown else 'attachment'}; {named}"


def asked_for(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """The start and the end of what `Range` asks for. Several parts, or what makes no sense, are as if not asked."""
    asked = headers.get("range", "")
    unit, _, part = asked.partition("=")
    first, dash, last = part.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash or headers.get("if-range", etag) != etag:
        return None
    if not (_number(first) and _number(last)) or not (first or last):
        return None
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise NotThere(f"The file has {size} bytes.")
    return start, end


def _number(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and len(text) <= 15)


async def closing(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whoever goes away in the middle leaves nothing open."""
    async with aclosing(body):  # type: ignore[type-var]  # all of ours are generators
        async for piece in body:
            yield piece


async def one_chunk(body: bytes) -> AsyncIterator[bytes]:
    yield body
