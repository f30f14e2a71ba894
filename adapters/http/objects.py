"""Objects for executors: what a claim's token opens, wherever the executor stands."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from adapters.http.answers import answers
from adapters.http.parts import Parts
from commands.ports import ObjectTooLarge
from domain.event import Recorded
from domain.ids import Digest, RunId
from domain.refusals import NotAuthenticated, NotFound
from domain.run import RunSubmitted
from workflows.loras import paths

HEX = set("0123456789abcdef")


@get("/objects/{digest:str}", responses=answers(200, Any, 401, 404))
async def fetch(
    digest: FromPath[str], request: Request[Any, Any, Any], parts: NamedDependency[Parts]
) -> Response[Any]:
    """The graph of the claimed run, an input that it loads, or a LoRA that it names. Any other digest is 404."""
    claim = _claim(request, parts)
    answer: Response[Any] | None = None
    if digest == claim.graph:
        body = await parts.commands.needs.contents.get(Digest(digest))
        answer = None if body is None else Response(body, media_type="application/json")
    elif digest in await _inputs(RunId(claim.run), parts) and await parts.objects.size(Digest(digest)):
        answer = Stream(parts.objects.read(Digest(digest)), media_type="image/png")
    elif (size := await _lora(Digest(digest), claim, parts)) is not None:
        pieces = parts.objects.read(Digest(digest))
        headers = {"Content-Length": str(size)}
        answer = Stream(pieces, media_type="application/octet-stream", headers=headers)
    if answer is None:
        raise NotFound("There is no such object for this claim.")
    return answer


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
    if len(digest) != 64 or not set(digest) <= HEX:
        raise NotFound("An object is named by its SHA-256 in 64 lower-case hexadecimal digits.")
    if int(request.headers.get("content-length", "0")) > parts.max_object_bytes:
        raise ObjectTooLarge(f"An object may have {parts.max_object_bytes} bytes at most.")
    await parts.objects.put(Digest(digest), request.stream(), parts.max_object_bytes)
    return Response(None, status_code=204)


async def _inputs(run: RunId, parts: Parts) -> tuple[Digest, ...]:
    """What the run was submitted with: the claim's token says which run it is for."""
    happened = await parts.log.read(run)
    match happened:
        case [Recorded(event=RunSubmitted(inputs=inputs)), *_]:
            return inputs
        case _:
            return ()


async def _lora(digest: Digest, claim: Any, parts: Parts) -> int | None:
    """The size of a LoRA that the claimed run's graph names: it was resolved when the run was submitted."""
    body = await parts.commands.needs.contents.get(claim.graph)
    graph = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    if digest not in {path.digest for path in paths(graph)}:
        return None
    return await parts.objects.size(digest)


def _claim(request: Request[Any, Any, Any], parts: Parts) -> Any:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        raise NotAuthenticated("An executor shows its claim's token here.")
    return parts.signatures.read_claim_token(token.strip(), parts.now())


ROUTER = Router("/", route_handlers=[fetch, store], tags=["objects"])
