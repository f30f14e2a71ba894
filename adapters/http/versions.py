"""The versions of a workflow, each with its graph: added and read, never changed."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, answers
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from adapters.http.workflow_answers import VersionAnswer, VersionPage
from commands.streams import Context
from commands.workflows import RestoreVersion, Saved, SaveVersion
from domain.ids import Digest, Position, WorkflowId
from domain.refusals import NotFound
from projections import workflow_shelf

NO_WORKFLOW = "There is no such workflow."
NO_VERSION = "The workflow has no such version."
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "blue"}},
}
Graph = Annotated[
    Any,
    Meta(
        description="A graph in ComfyUI's API format, or as the editor saves it. "
        "Left out: it is made of the editor's, which is kept beside it.",
        examples=[GRAPH],
    ),
]
EditorGraph = Annotated[Any, Meta(description="The same graph as the editor saves it.")]


class VersionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    graph: Graph = None
    editor_graph: EditorGraph = None
    note: str = ""


class RestoreBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    note: str = ""


class SavedAnswer(Struct, frozen=True):
    """`version`: the number of the version that was saved, or the newest when nothing was new."""

    id: WorkflowId
    version: int
    url: str
    position: Position


@post(
    "/workflows/{workflow:uuid}/versions",
    dto=StrictBody[VersionBody],
    return_dto=None,
    responses=answers(201, SavedAnswer, 401, 404, 409, 412, 413, 415, 422),
)
async def save(
    workflow: FromPath[UUID],
    data: JSONBody[VersionBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Response[SavedAnswer]:
    """Add a version. The very graph of the newest version adds none. `If-Match` as in PATCH.

    A graph as the editor saves it is converted, as in POST /workflows.
    """
    saved: Saved = await parts.commands.run(
        SaveVersion(
            by=caller.account,
            workflow=WorkflowId(workflow),
            graph=data.graph,
            editor_graph=data.editor_graph,
            note=data.note,
            expected=expected,
        ),
        context,
    )
    return saved_answer(saved, f"{parts.public_url}/api/v1/workflows/{saved.id}/versions/{saved.version}")


@get("/workflows/{workflow:uuid}/versions", security=ANYBODY, responses=answers(200, VersionPage, 404, 422))
async def versions(
    workflow: FromPath[UUID],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The versions of a workflow, the newest first, without their graphs."""
    await reader.one(workflow_shelf.workflow, workflow, missing=NO_WORKFLOW)
    return await reader.page(workflow_shelf.versions, workflow, limit=limit, cursor=cursor)


@get(
    "/workflows/{workflow:uuid}/versions/{number:int}",
    security=ANYBODY,
    responses=answers(200, VersionAnswer, 404),
)
async def version(
    workflow: FromPath[UUID],
    number: FromPath[int],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
) -> Response[bytes]:
    """One version with its graphs."""
    row = await reader.one(workflow_shelf.version, workflow, number, missing=NO_VERSION)
    return json_response(await with_graphs(row, parts))


@post(
    "/workflows/{workflow:uuid}/versions/{number:int}/restore",
    dto=StrictBody[RestoreBody],
    return_dto=None,
    responses=answers(201, SavedAnswer, 401, 404, 409, 412, 415, 422),
)
async def restore(
    workflow: FromPath[UUID],
    number: FromPath[int],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
    data: JSONBody[RestoreBody] = RestoreBody(),
) -> Response[SavedAnswer]:
    """Save an earlier version once more, as the newest: it names the one it repeats as `restored_from`.

    Nothing is added where the newest version already has that content. `If-Match` as in PATCH.
    """
    saved: Saved = await parts.commands.run(
        RestoreVersion(
            by=caller.account,
            workflow=WorkflowId(workflow),
            number=number,
            note=data.note,
            expected=expected,
        ),
        context,
    )
    return saved_answer(saved, f"{parts.public_url}/api/v1/workflows/{saved.id}/versions/{saved.version}")


def saved_answer(saved: Saved, url: str) -> Response[SavedAnswer]:
    answer = SavedAnswer(saved.id, saved.version, url, saved.position)
    return Response(answer, status_code=201, headers={"Location": url})


async def with_graphs(version: bytes, parts: Parts, workflow: dict[str, msgspec.Raw] | None = None) -> bytes:
    """A version's row with its documents, without decoding them; or the workflow's row with those."""
    fields = msgspec.json.decode(version, type=dict[str, msgspec.Raw])
    for name in ("graph", "editor_graph"):
        digest = msgspec.json.decode(fields[f"{name}_digest"], type=Digest | None)
        body = await parts.commands.needs.contents.get(digest) if digest is not None else b"null"
        if body is None:
            raise NotFound("The graph of this workflow is not there.")
        fields[name] = msgspec.Raw(body)
    if workflow is None:
        return msgspec.json.encode(fields)
    of_version = {name: field for name, field in fields.items() if name not in ("workflow", "number", "at")}
    return msgspec.json.encode(workflow | of_version)


ROUTER = Router("/", route_handlers=[save, versions, version, restore], tags=["workflows"])
