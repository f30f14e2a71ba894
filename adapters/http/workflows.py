"""Workflows: kept, versioned, described, shown."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import (
    ANYBODY,
    GalleryPage,
    HistoryPage,
    VersionAnswer,
    VersionPage,
    WorkflowAnswer,
    WorkflowPage,
    answers,
)
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from commands.streams import Context
from commands.workflows import ChangeWorkflow, CreateWorkflow, DeleteWorkflow, Saved, SaveVersion
from domain.ids import Digest, Position, WorkflowId
from domain.refusals import NotFound
from domain.workflow import WORKFLOW
from projections import gallery, workflow_shelf

NO_WORKFLOW = "There is no such workflow."
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "blue"}},
}
Graph = Annotated[Any, Meta(description="A graph in ComfyUI's API format.", examples=[GRAPH])]
EditorGraph = Annotated[Any, Meta(description="The same graph as the editor saves it.")]
Name = Annotated[str, Meta(examples=["A blue square"])]
Tags = Annotated[tuple[str, ...], Meta(examples=[["test", "blue"]])]


class CreateBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Name
    graph: Graph
    description: str = ""
    editor_graph: EditorGraph = None
    tags: Tags = ()
    public: bool = False


class VersionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    graph: Graph
    editor_graph: EditorGraph = None
    note: str = ""


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    description: str | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    public: bool | UnsetType = UNSET


class SavedAnswer(Struct, frozen=True):
    """`version`: the number of the version that was saved, or the newest when nothing was new."""

    id: WorkflowId
    version: int
    url: str
    position: Position


@post(
    "/workflows",
    dto=StrictBody[CreateBody],
    return_dto=None,
    responses=answers(201, SavedAnswer, 401, 409, 413, 415, 422),
)
async def create(
    data: JSONBody[CreateBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[SavedAnswer]:
    """Keep a workflow; its graph becomes version 1. 422 names everything that is wrong with the graph."""
    saved: Saved = await parts.commands.run(
        CreateWorkflow(
            owner=caller.account,
            name=data.name,
            graph=data.graph,
            description=data.description,
            editor_graph=data.editor_graph,
            tags=data.tags,
            public=data.public,
        ),
        context,
    )
    return _saved(saved, f"{parts.public_url}/api/v1/workflows/{saved.id}")


@get("/workflows", responses=answers(200, WorkflowPage, 401, 422))
async def shelf(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Your workflows, the last changed first."""
    return await reader.page(workflow_shelf.own_workflows, caller.account, limit=limit, cursor=cursor)


@get("/workflows/{workflow:uuid}", security=ANYBODY, responses=answers(200, WorkflowAnswer, 404))
async def show(
    workflow: FromPath[UUID], parts: NamedDependency[Parts], reader: NamedDependency[Reader]
) -> Response[bytes]:
    """One workflow with its newest graph: your own, or a public one. `ETag`: its revision."""
    row = await reader.one(workflow_shelf.workflow, workflow, missing=NO_WORKFLOW)
    fields = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
    newest = await reader.one(
        workflow_shelf.version, workflow, int(bytes(fields["version"])), missing=NO_WORKFLOW
    )
    answer = json_response(await _with_graphs(newest, parts, fields))
    answer.headers["ETag"] = f'"{int(bytes(fields["revision"]))}"'
    return answer


@patch(
    "/workflows/{workflow:uuid}",
    dto=StrictBody[ChangeBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 412, 415, 422),
)
async def change(
    workflow: FromPath[UUID],
    data: JSONBody[ChangeBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Rename, describe, tag, publish (`public: true`) or withdraw; all of it or nothing.

    With `If-Match`, only while the workflow's ETag is that one: else 412.
    """
    accepted = await parts.commands.run(
        ChangeWorkflow(
            by=caller.account,
            workflow=WorkflowId(workflow),
            name=None if data.name is UNSET else data.name,
            description=None if data.description is UNSET else data.description,
            tags=None if data.tags is UNSET else data.tags,
            public=None if data.public is UNSET else data.public,
            expected=expected,
        ),
        context,
    )
    return Moved(accepted.position)


@delete("/workflows/{workflow:uuid}", status_code=200, responses=answers(200, Moved, 401, 404, 412))
async def remove(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Remove a workflow from every list. Its history stays. `If-Match` as in PATCH."""
    wish = DeleteWorkflow(by=caller.account, workflow=WorkflowId(workflow), expected=expected)
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


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
    """Add a version. The very graph of the newest version adds none. `If-Match` as in PATCH."""
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
    return _saved(saved, f"{parts.public_url}/api/v1/workflows/{saved.id}/versions/{saved.version}")


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
    row = await reader.one(
        workflow_shelf.version, workflow, number, missing="The workflow has no such version."
    )
    return json_response(await _with_graphs(row, parts))


@get("/workflows/{workflow:uuid}/history", responses=answers(200, HistoryPage, 401, 404, 422))
async def history(
    workflow: FromPath[UUID],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Everything that ever happened to your workflow, in order."""
    return await reader.history(workflow, WORKFLOW.kind, limit=limit, cursor=cursor, missing=NO_WORKFLOW)


@get("/gallery", security=ANYBODY, responses=answers(200, GalleryPage, 422))
async def show_gallery(
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Published workflows, the newest first. Nobody needs to log in for it."""
    return await reader.page(gallery.published, limit=limit, cursor=cursor)


def _saved(saved: Saved, url: str) -> Response[SavedAnswer]:
    answer = SavedAnswer(saved.id, saved.version, url, saved.position)
    return Response(answer, status_code=201, headers={"Location": url})


async def _with_graphs(version: bytes, parts: Parts, workflow: dict[str, msgspec.Raw] | None = None) -> bytes:
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


ROUTER = Router(
    "/",
    route_handlers=[create, shelf, show, change, remove, save, versions, version, history, show_gallery],
    tags=["workflows"],
)
