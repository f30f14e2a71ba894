"""One workflow as a file: a graph of it, or all of it as an archive."""

import asyncio
import zipfile
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from litestar import MediaType, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from adapters.http.answers import ANYBODY, answers
from adapters.http.files import GUARDED, disposition
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.versions import NO_VERSION
from commands.taking_along import archived, described, document
from domain.ids import AccountId, WorkflowId
from domain.refusals import NotFound
from domain.workflow import Workflow, executed

NO_EDITOR_GRAPH = "This version was not kept as the editor saves it."


class Format(StrEnum):
    ZIP = "zip"
    API = "api"
    EDITOR = "editor"


@get(
    "/workflows/{workflow:uuid}/export",
    security=ANYBODY,
    responses=answers(200, bytes, 409, 422, media_type="*/*"),
)
async def export(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    format: FromQuery[Format] = Format.ZIP,
    version: Annotated[int | None, QueryParameter(description="Of a graph; left out: the newest.")] = None,
) -> Response[bytes] | Stream:
    """A workflow to take along. `zip`: what it is, all versions with both graphs and, to its owner, its history.

    `api` and `editor`: one graph as JSON, as ComfyUI runs it or as its editor opens it.
    """
    id = WorkflowId(workflow)
    state = await described(id, reader.account, parts.commands.needs)
    if format is not Format.ZIP:
        return await _graph(state, format, version, parts)
    return Stream(
        _zipped(id, state, reader.account, parts),
        media_type="application/zip",
        headers=GUARDED | {"Content-Disposition": disposition(f"{state.name}.zip", shown=False)},
    )


async def _graph(state: Workflow, format: Format, version: int | None, parts: Parts) -> Response[bytes]:
    number = len(state.versions) if version is None else version
    if not 1 <= number <= len(state.versions):
        raise NotFound(NO_VERSION)
    saved = state.versions[number - 1]
    content = saved.graph if format is Format.API else saved.editor_graph
    if content is None:
        executed(number, saved)
        raise NotFound(NO_EDITOR_GRAPH)
    body = await document(content.digest, parts.commands.needs)
    headers = GUARDED | {"Content-Disposition": disposition(f"{state.name}.json", shown=False)}
    return Response(body, media_type=MediaType.JSON, headers=headers)


class _Sink:
    """What a zip is written into, to be taken away piece by piece. It cannot go back, and zipfile knows how."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


async def _zipped(
    id: WorkflowId, state: Workflow, account: AccountId | None, parts: Parts
) -> AsyncIterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        async for name, body in archived(id, state, account, parts.commands.needs):
            await asyncio.to_thread(archive.writestr, name, body)
            yield sink.taken()
    yield sink.taken()


ROUTER = Router("/", route_handlers=[export], tags=["workflows"])
