"""Objects for executors: what a claim's token opens, wherever the executor stands."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream
from msgspec import Struct

from adapters.http.answers import answers
from adapters.http.parts import Parts
from commands.ports import Download, ObjectMissingError, ObjectTooLarge
from domain.event import Recorded
from domain.ids import Digest, RunId
from domain.refusals import Invalid, NotAuthenticated, NotFound
from domain.run import RunSubmitted
from workflows.loras import paths

HEX = set("0123456789abcdef")
MOST_TOGETHER = 16
TOGETHER_BYTES = 1 << 20
SIZES = "Each object is named by its digest and its size, the body has as many bytes as they have together."
AS_IT_IS = Download("application/octet-stream", "attachment")


class Place(Struct, frozen=True):
    """Where an object's bytes are to be PUT. The URL is good for some minutes, and for nothing else."""

    url: str


@get("/objects/{digest:str}", responses=answers(200, Any, 307, 401, 404))
async def fetch(
    digest: FromPath[str],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    direct: FromQuery[bool] = False,
) -> Response[Any]:
    """The graph of the claimed run, an input that it loads, or a LoRA that it names. Any other digest is 404.

    `direct`: a link to where it is kept will do as well, where there is one (307).
    """
    claim = _claim(request, parts)
    if digest == claim.graph:
        body = await parts.commands.needs.contents.get(Digest(digest))
        if body is not None:
            return Response(body, media_type="application/json")
    elif await _is_needed(digest, claim, parts):
        size = await parts.objects.size(Digest(digest))
        if size is not None:
            return await _sent(Digest(digest), size, parts, direct=direct)
    raise NotFound("There is no such object for this claim.")


@put(
    "/objects/{digest:str}",
    request_max_body_size=None,
    status_code=204,
    responses=answers(204, None, 401, 404, 413, 422),
)
async def store(
    digest: FromPath[str], request: Request[Any, Any, Any], parts: NamedDependency[Parts]
) -> Response[None]:
    """Keep an output. The bytes must be those the SHA-256 names. Storing them again changes nothing."""
    _claim(request, parts)
    _check(digest)
    if int(request.headers.get("content-length", "0")) > parts.max_object_bytes:
        raise ObjectTooLarge(f"An object may have {parts.max_object_bytes} bytes at most.")
    await parts.objects.put(Digest(digest), request.stream(), parts.max_object_bytes)
    return Response(None, status_code=204)


@put(
    "/objects",
    request_max_body_size=TOGETHER_BYTES,
    status_code=204,
    responses=answers(204, None, 401, 404, 413, 422),
)
async def store_together(
    request: Request[Any, Any, Any], parts: NamedDependency[Parts], sizes: FromQuery[str] = ""
) -> Response[None]:
    """Keep some small outputs at once, one behind the other in the body. `sizes`: `<digest>:<bytes>,...` of each.

    204: all of them are kept. Else some may be.
    """
    _claim(request, parts)
    objects = tuple(_parted(sizes, await request.body()))
    limit = parts.max_object_bytes
    await asyncio.gather(*(parts.objects.put(digest, _whole(body), limit) for digest, body in objects))
    return Response(None, status_code=204)


@get("/objects/{digest:str}/place", responses=answers(200, Place, 401, 404, 413))
async def place(
    digest: FromPath[str],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    size_bytes: FromQuery[int] = 0,
) -> Place:
    """Where an output may be PUT beside the API. 404: nowhere, it is to be sent here."""
    claim = _claim(request, parts)
    _check(digest)
    if size_bytes > parts.max_object_bytes:
        raise ObjectTooLarge(f"An object may have {parts.max_object_bytes} bytes at most.")
    url = await parts.objects.place(_arrival(digest, claim), size_bytes) if size_bytes >= 0 else None
    if url is None:
        raise NotFound("Outputs are sent to the API.")
    return Place(url)


@put("/objects/{digest:str}/place", status_code=204, responses=answers(204, None, 401, 404, 413, 422))
async def take(
    digest: FromPath[str], request: Request[Any, Any, Any], parts: NamedDependency[Parts]
) -> Response[None]:
    """Keep what this claim has PUT at its place, if it is what the SHA-256 names. Else nothing is left of it."""
    claim = _claim(request, parts)
    _check(digest)
    try:
        await parts.objects.take(_arrival(digest, claim), Digest(digest), parts.max_object_bytes)
    except ObjectMissingError as error:
        raise NotFound("Nothing has arrived there.") from error
    return Response(None, status_code=204)


async def _sent(digest: Digest, size: int, parts: Parts, *, direct: bool) -> Response[Any]:
    if direct and (url := await parts.objects.link(digest, AS_IT_IS)) is not None:
        return Response(None, status_code=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": url})
    headers = {"Content-Length": str(size)}
    return Stream(parts.objects.read(digest), media_type=AS_IT_IS.media_type, headers=headers)


def _parted(sizes: str, body: bytes) -> Iterator[tuple[Digest, bytes]]:
    start = 0
    for each in sizes.split(",", MOST_TOGETHER)[:MOST_TOGETHER]:
        digest, _, size = each.partition(":")
        _check(digest)
        if not (size.isascii() and size.isdigit() and len(size) < 9):
            raise Invalid(SIZES)
        yield Digest(digest), body[start : (start := start + int(size))]
    if start != len(body):
        raise Invalid(SIZES)


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _check(digest: str) -> None:
    if len(digest) != 64 or not set(digest) <= HEX:
        raise NotFound("An object is named by its SHA-256 in 64 lower-case hexadecimal digits.")


def _arrival(digest: str, claim: Any) -> str:
    """Each attempt has places of its own."""
    return f"{claim.run}/{claim.epoch}/{digest}"


async def _is_needed(digest: str, claim: Any, parts: Parts) -> bool:
    """Whether the claimed run was submitted with it, or its graph, in which LoRAs were resolved then, names it."""
    happened = await parts.log.read(RunId(claim.run))
    match happened:
        case [Recorded(event=RunSubmitted(inputs=inputs)), *_] if digest in inputs:
            return True
    body = await parts.commands.needs.contents.get(claim.graph)
    graph = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    return digest in {path.digest for path in paths(graph)}


def _claim(request: Request[Any, Any, Any], parts: Parts) -> Any:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        raise NotAuthenticated("An executor shows its claim's token here.")
    return parts.signatures.read_claim_token(token.strip(), parts.now())


ROUTER = Router("/", route_handlers=[fetch, store, store_together, place, take], tags=["objects"])
