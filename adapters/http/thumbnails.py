"""The pictures that workflows are shown by: chosen, uploaded, and looked at by whoever may see the workflow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.files import disposition, sent
from adapters.http.inputs import MAX_BYTES, SLACK_BYTES, WithPicture, picture
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from commands.ports import Download
from commands.streams import Context
from commands.thumbnails import NO_OUTPUT, RemoveThumbnail, ShowByOutput, ShowByPicture
from domain.ids import Digest, RunId, WorkflowId
from domain.outcome import Image
from domain.refusals import NotFound
from domain.workflow import WORKFLOW, owned
from projections import run_status, workflow_shelf
from services.ports.executing import Thumbnail
from workflows.inputs import is_digest

NO_PICTURE = "The workflow is not shown by such a picture."


class OutputOf(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of one of your runs, as the run lists them."""

    run: UUID
    node: Annotated[str, Meta(examples=["9"])]
    index: Annotated[int, Meta(ge=0, le=2**31)] = 0


class ThumbnailBody(Struct, frozen=True, forbid_unknown_fields=True):
    output: OutputOf


class _Stored(Struct):
    thumbnails: tuple[Image, ...]


async def picture_of_ones_own(
    request: Request[Any, Any, Any],
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> AsyncIterator[UploadFile]:
    """The form's file; for a workflow of somebody else's nothing is read. Raises NotFound, and what `picture` does."""
    state, _ = await parts.commands.needs.streams.load(WORKFLOW, workflow)
    owned(state, by=caller.account)
    async with asynccontextmanager(picture)(request, context) as file:
        yield file


@put(
    "/workflows/{workflow:uuid}/thumbnail",
    dto=StrictBody[ThumbnailBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 412, 415, 422),
)
async def choose(
    workflow: FromPath[UUID],
    data: JSONBody[ThumbnailBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Show a workflow by a picture that one of your runs has made, in place of the one it had. `If-Match` as in PATCH.

    It stays when the run is deleted. 422: there is no picture in that file.
    """
    of = data.output
    row = await reader.one(run_status.output, of.run, of.node, of.index, missing=NO_OUTPUT)
    wish = ShowByOutput(
        by=caller.account,
        workflow=WorkflowId(workflow),
        run=RunId(of.run),
        thumbnails=msgspec.json.decode(row, type=_Stored).thumbnails,
        expected=expected,
    )
    return Moved((await parts.commands.run(wish, context)).position)


@post(
    "/workflows/{workflow:uuid}/thumbnail",
    status_code=200,
    request_max_body_size=MAX_BYTES + SLACK_BYTES,
    dependencies={"picture": Provide(picture_of_ones_own)},
    operation_class=WithPicture,
    responses=answers(200, Moved, 408, 413, 415, 422),
)
async def upload(
    workflow: FromPath[UUID],
    picture: NamedDependency[UploadFile],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Show a workflow by a picture of yours, sent as the form's field `image`: the kinds and sizes that inputs have.

    It is encoded anew in two sizes, upright, and without anything its file told of place and time. `If-Match` as in
    PATCH.
    """
    made = await parts.pictures.thumbnails(picture.file)
    wish = ShowByPicture(
        by=caller.account,
        workflow=WorkflowId(workflow),
        thumbnails=tuple([await _stored(each, parts) for each in made]),
        expected=expected,
    )
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/workflows/{workflow:uuid}/thumbnail", status_code=200, responses=answers(200, Moved, 401, 404, 412))
async def remove(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Show a workflow without a picture. `If-Match` as in PATCH."""
    wish = RemoveThumbnail(by=caller.account, workflow=WorkflowId(workflow), expected=expected)
    return Moved((await parts.commands.run(wish, context)).position)


@get(
    "/workflows/{workflow:uuid}/thumbnails/{digest:str}",
    security=ANYBODY,
    responses=answers(200, bytes, 404, 416, media_type="image/webp"),
)
async def show(
    workflow: FromPath[UUID],
    digest: FromPath[str],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
) -> Response[Any]:
    """A picture that your own workflow or a public one is shown by. With files in S3 the answer may be 307."""
    kind = await reader.ask(workflow_shelf.picture, workflow, digest) if is_digest(digest) else None
    answer = None
    if kind is not None:
        shown = Download(kind, disposition(f"{workflow}.webp", shown=True))
        answer = await sent(parts.objects, Digest(digest), shown, request)
    if answer is None:
        raise NotFound(NO_PICTURE)
    return answer


async def _stored(made: Thumbnail, parts: Parts) -> Image:
    digest = Digest(sha256(made.body).hexdigest())
    await parts.objects.put(digest, _whole(made.body), len(made.body))
    return Image(digest, len(made.body), made.media_type, made.width, made.height)


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


ROUTER = Router("/", route_handlers=[choose, upload, remove, show], tags=["workflows"])
