"""Workflows: kept, versioned, described, shown."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from commands.streams import Context
from commands.workflows import ChangeWorkflow, CreateWorkflow, DeleteWorkflow, Saved, SaveVersion
from domain.ids import Digest, WorkflowId
from domain.refusals import NotFound
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


@post("/workflows", dto=StrictBody[CreateBody], return_dto=None)
async def create(
    data: CreateBody,
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[Saved]:
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
    return Response(saved, status_code=201, headers={"Location": f"/api/v1/workflows/{saved.id}"})


@get("/workflows")
async def shelf(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Your workflows, the last changed first."""
    return await reader.page(workflow_shelf.own_workflows, caller.account, limit=limit, cursor=cursor)


@get("/workflows/{workflow:uuid}")
async def show(
    workflow: FromPath[UUID], parts: NamedDependency[Parts], reader: NamedDependency[Reader]
) -> Response[bytes]:
    """One workflow with its newest graph: your own, or a public one."""
    row = await reader.one(workflow_shelf.workflow, workflow, missing=NO_WORKFLOW)
    fields = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
    newest = await reader.one(
        workflow_shelf.version, workflow, int(bytes(fields["version"])), missing=NO_WORKFLOW
    )
    return json_response(await _with_graphs(newest, parts, fields))


@patch("/workflows/{workflow:uuid}", dto=StrictBody[ChangeBody], return_dto=None)
async def change(
    workflow: FromPath[UUID],
    data: ChangeBody,
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Rename, describe, tag, publish (`public: true`) or withdraw; all of it or nothing."""
    accepted = await parts.commands.run(
        ChangeWorkflow(
            by=caller.account,
            workflow=WorkflowId(workflow),
            name=None if data.name is UNSET else data.name,
            description=None if data.description is UNSET else data.description,
            tags=None if data.tags is UNSET else data.tags,
            public=None if data.public is UNSET else data.public,
        ),
        context,
    )
    return Moved(accepted.position)


@delete("/workflows/{workflow:uuid}", status_code=200)
async def remove(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Remove a workflow from every list. Its history stays."""
    accepted = await parts.commands.run(
        DeleteWorkflow(by=caller.account, workflow=WorkflowId(workflow)), context
    )
    return Moved(accepted.position)


@post("/workflows/{workflow:uuid}/versions", dto=StrictBody[VersionBody], return_dto=None)
async def save(
    workflow: FromPath[UUID],
    data: VersionBody,
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Saved:
    """Add a version. The very graph of the newest version adds none."""
    saved: Saved = await parts.commands.run(
        SaveVersion(
            by=caller.account,
            workflow=WorkflowId(workflow),
            graph=data.graph,
            editor_graph=data.editor_graph,
            note=data.note,
        ),
        context,
    )
    return saved


@get("/workflows/{workflow:uuid}/versions")
async def versions(
    workflow: FromPath[UUID],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The versions of a workflow, the newest first, without their graphs."""
    await reader.one(workflow_shelf.workflow, workflow, missing=NO_WORKFLOW)
    return await reader.page(workflow_shelf.versions, workflow, limit=limit, cursor=cursor)


@get("/workflows/{workflow:uuid}/versions/{number:int}")
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


@get("/workflows/{workflow:uuid}/history")
async def history(
    workflow: FromPath[UUID],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Everything that ever happened to your workflow, in order."""
    return await reader.history(workflow, limit=limit, cursor=cursor, missing=NO_WORKFLOW)


@get("/gallery")
async def show_gallery(
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Published workflows, the newest first. Nobody needs to log in for it."""
    return await reader.page(gallery.published, limit=limit, cursor=cursor)


async def _with_graphs(version: bytes, parts: Parts, workflow: dict[str, msgspec.Raw] | None = None) -> bytes:
    """A version's row with its documents in place of their digests, without decoding them."""
    fields = msgspec.json.decode(version, type=dict[str, msgspec.Raw])
    for name in ("graph", "editor_graph"):
        digest = msgspec.json.decode(fields[name], type=Digest | None)
        body = await parts.commands.needs.contents.get(digest) if digest is not None else b"null"
        if body is None:
            raise NotFound("The graph of this workflow is not there.")
        fields[f"{name}_digest"] = fields[name]
        fields[name] = msgspec.Raw(body)
    return msgspec.json.encode(fields if workflow is None else {**fields, **workflow})


ROUTER = Router(
    "/",
    route_handlers=[create, shelf, show, change, remove, save, versions, version, history, show_gallery],
    tags=["workflows"],
)
