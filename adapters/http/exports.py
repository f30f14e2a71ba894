"""Everything about oneself, to take along: asked for, built in the background, fetched by a URL of its own."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid5

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, Url, answers
from adapters.http.callers import Caller
from adapters.http.files import GUARDED, asked_for, closing, disposition
from adapters.http.parts import Parts
from commands.ports import Download
from commands.streams import Context
from domain.refusals import NotFound
from services.ports.exporting import Export, ExportState

GOOD_FOR_S = 3600
KEPT = timedelta(days=1)
ZIP = Download("application/zip", disposition("comfyui-plus-export.zip", shown=False))
NOT_KEPT = {"Cache-Control": "private, no-store"}
NONE = "You have not asked for an export, or it is more than a day old."
NO_EXPORT = "There is no such export, or the link has expired: look up your export for a new one."


class ExportAnswer(Struct, frozen=True):
    """`done` of `total` steps. `url`: when it is ready."""

    id: UUID
    state: ExportState
    done: int
    total: Annotated[int, Meta(description="0 until it has begun; may grow with what you add meanwhile.")]
    asked_at: datetime
    size_bytes: int | None
    reason: Annotated[str | None, Meta(description="Why it failed.")]
    kept_until: datetime | None
    url: Url | None


@post("/accounts/me/export", status_code=202, responses=answers(202, ExportAnswer, 401))
async def ask(
    parts: NamedDependency[Parts], caller: NamedDependency[Caller], context: NamedDependency[Context]
) -> ExportAnswer:
    """Have everything about you put together in a zip of JSON and files. One at a time: asked again, it is the same.

    Your account and sessions, API keys, webhooks, workflows with all versions and documents, runs with the files of
    their outputs, and every event of it all. A new one takes the place of the last.
    """
    id = parts.new_id() if context.key is None else uuid5(caller.account, f"export {context.key.key}")
    return _shown(await parts.exports.ask(caller.account, id, parts.now()), parts)


@get("/accounts/me/export", responses=answers(200, ExportAnswer, 401, 404))
async def show(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> ExportAnswer:
    """How far it is, and where it is to be had. It is kept for a day."""
    export = await parts.exports.newest(caller.account)
    if export is None:
        raise NotFound(NONE)
    return _shown(export, parts)


@get(
    "/exports/{export:uuid}",
    security=ANYBODY,
    responses=answers(200, bytes, 404, 416, media_type="application/zip"),
)
async def fetch(
    export: FromPath[UUID],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    expires: FromQuery[int] = 0,
    signature: FromQuery[str] = "",
) -> Response[Any]:
    """The zip, or a part of it (`Range`). The signature in the URL is the key to it. 404 for every other URL, and once
    the account is gone.

    Where files are kept in S3 the answer may be 307: the zip itself is at the address in `Location`.
    """
    size = None
    if parts.signatures.check_export_signature(export, expires, signature, parts.now()):
        found = await parts.exports.find(export)
        ready = found is not None and found.state is ExportState.READY
        size = await parts.archives.size(export) if ready else None
    if size is None:
        raise NotFound(NO_EXPORT)
    if (url := await parts.archives.link(export, ZIP)) is not None:
        headers = GUARDED | NOT_KEPT | {"Location": url}
        return Response(None, status_code=HTTPStatus.TEMPORARY_REDIRECT, headers=headers)
    headers = GUARDED | NOT_KEPT | {"Accept-Ranges": "bytes", "Content-Disposition": ZIP.disposition}
    part = asked_for(request.headers, size, f'"{export}"')
    start, end = part or (0, size)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Stream(
        closing(parts.archives.read(export, start, end)),
        status_code=HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT,
        headers=headers | {"Content-Length": str(end - start), "ETag": f'"{export}"'},
        media_type=ZIP.media_type,
    )


def _shown(export: Export, parts: Parts) -> ExportAnswer:
    url = None
    if export.state is ExportState.READY:
        expires = int(parts.now().timestamp()) + GOOD_FOR_S
        signature = parts.signatures.export_signature(export.id, expires)
        url = f"{parts.public_url}/api/v1/exports/{export.id}?expires={expires}&signature={signature}"
    return ExportAnswer(
        id=export.id,
        state=export.state,
        done=export.done,
        total=export.total,
        asked_at=export.asked_at,
        size_bytes=export.size_bytes,
        reason=export.reason,
        kept_until=None if export.ended_at is None else export.ended_at + KEPT,
        url=url,
    )


ROUTER = Router("/", route_handlers=[ask, show, fetch], tags=["accounts"])
