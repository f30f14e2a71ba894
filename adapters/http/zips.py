"""Many outputs as one file."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.files import GUARDED, disposition
from adapters.http.outputs import rendition_of
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.renditions import OwnRendition, chosen
from adapters.http.runs import NO_RUN
from adapters.http.zipping import Entry, zipped
from commands.streams import Context
from domain.ids import Digest, OutputId
from domain.refusals import NotFound
from domain.rendition import Rendition
from projections import run_status

MAX_ZIPPED = 1_000
NOT_THERE = "Some of these outputs are not there."
NONE_YET = "This run has no outputs."
ZIP = "application/zip"


class ZipBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    outputs: Annotated[tuple[UUID, ...], Meta(min_length=1, max_length=MAX_ZIPPED)]
    rendition: OwnRendition = None


@post(
    "/outputs/zip",
    dto=StrictBody[ZipBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, bytes, 401, 404, 415, 422, media_type=ZIP),
)
async def some(
    data: JSONBody[ZipBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    context: NamedDependency[Context],
) -> Response[Any]:
    """Up to 1000 of your outputs as a zip, under the names that ComfyUI gave them; one that comes twice gets a number.

    It is written while it is sent. What has gone meanwhile is named in `missing.txt` in it.
    """
    asked = list(dict.fromkeys(map(OutputId, data.outputs)))
    rows = {row["id"]: row for row in msgspec.json.decode(await reader.ask(run_status.some_outputs, asked))}
    if len(rows) < len(asked):
        raise NotFound(NOT_THERE)
    return _sent([rows[str(id)] for id in asked], "outputs.zip", chosen(data.rendition), parts)


@get("/runs/{run:uuid}/zip", responses=answers(200, bytes, 401, 404, media_type=ZIP))
async def of_run(
    run: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
) -> Response[Any]:
    """All outputs of a run as a zip. 404 also while it has none."""
    row = msgspec.json.decode(await reader.one(run_status.run, run, missing=NO_RUN))
    if not row["outputs"]:
        raise NotFound(NONE_YET)
    at = row["ended_at"] or row["submitted_at"]
    rows = [each | {"rendition": row["rendition"], "made_at": at} for each in row["outputs"]]
    return _sent(rows, f"{run}.zip", None, parts)


def _sent(rows: Sequence[dict[str, Any]], name: str, rendition: Rendition | None, parts: Parts) -> Stream:
    entries = [
        Entry(
            Digest(row["digest"]),
            row["name"],
            datetime.fromisoformat(row["made_at"]),
            rendition or rendition_of(row, row["media_type"]),
        )
        for row in rows
    ]
    headers = GUARDED | {"Content-Disposition": disposition(name, shown=False)}
    return Stream(_closing(zipped(entries, parts.objects, parts.renditions)), headers=headers, media_type=ZIP)


async def _closing(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whoever goes away in the middle leaves nothing open."""
    async with aclosing(body):  # type: ignore[type-var]  # ours is a generator
        async for piece in body:
            yield piece


ROUTER = Router("/", route_handlers=[some, of_run], tags=["outputs"])
