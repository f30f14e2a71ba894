"""Workflows: kept, described, shown."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import ANYBODY, HistoryPage, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.past import AsOf, past_workflow
from adapters.http.reads import Reader, json_response
from adapters.http.versions import NO_WORKFLOW, EditorGraph, Graph, SavedAnswer, saved_answer, with_graphs
from adapters.http.workflow_answers import WorkflowAnswer, WorkflowPage
from commands.streams import Context
from commands.workflows import ChangeWorkflow, CreateWorkflow, Saved
from domain.ids import WorkflowId
from domain.workflow import WORKFLOW
from projections import comments, gallery, workflow_shelf

Name = Annotated[str, Meta(examples=["A blue square"])]
Tags = Annotated[tuple[str, ...], Meta(examples=[["test", "blue"]])]


class Sort(StrEnum):
    UPDATED = "updated"
    CREATED = "created"
    NAME = "name"


class CreateBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Name
    graph: Graph = None
    description: str = ""
    editor_graph: EditorGraph = None
    tags: Tags = ()
    public: bool = False


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    description: str | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    public: bool | UnsetType = UNSET
    sensitive: Annotated[bool, Meta(description="Not everybody wants to see it by chance.")] | UnsetType = (
        UNSET
    )


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
    """Keep a workflow; its graph becomes version 1. 422 names everything that is wrong with the graph.

    A graph as the editor saves it is converted by what the backends have told of their node classes, and both are
    kept. What only the editor could know is refused with its node: 422. 409: no backend has told yet.
    """
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
    return saved_answer(saved, f"{parts.public_url}/api/v1/workflows/{saved.id}")


@get("/workflows", responses=answers(200, WorkflowPage, 401, 422))
async def shelf(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    q: Annotated[
        str, QueryParameter(description="Words that are all in its name, description or tags.")
    ] = "",
    tag: FromQuery[str | None] = None,
    sort: FromQuery[Sort] = Sort.UPDATED,
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Your workflows: the last changed first, or the newest, or by name. A cursor is good for one `sort` only."""
    return await reader.page(
        workflow_shelf.own_workflows,
        caller.account,
        words=q,
        tag=tag,
        sort=sort,
        limit=limit,
        cursor=cursor,
    )


@get("/workflows/{workflow:uuid}", security=ANYBODY, responses=answers(200, WorkflowAnswer, 404, 422))
async def show(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    as_of: AsOf = None,
) -> Response[bytes]:
    """One workflow with its newest graph: your own, or a public one. `ETag`: its revision.

    With `as_of`, as it was at a position of the log (`1234`), at a time (`2026-11-21T12:00:00Z`), or when its version
    had just been saved (`v3`); 404 before it existed.
    """
    if as_of is not None:
        return await past_workflow(workflow, as_of, parts, reader.account)
    row = await reader.one(workflow_shelf.workflow, workflow, missing=NO_WORKFLOW)
    fields = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
    newest = await reader.one(
        workflow_shelf.version, workflow, int(bytes(fields["version"])), missing=NO_WORKFLOW
    )
    for counts in (gallery.standing, comments.counted):
        found = await reader.one(counts, workflow, missing=NO_WORKFLOW)
        fields |= msgspec.json.decode(found, type=dict[str, msgspec.Raw])
    answer = json_response(await with_graphs(newest, parts, fields))
    answer.headers["ETag"] = f'"{int(bytes(fields["revision"]))}"'
    return answer


@patch(
    "/workflows/{workflow:uuid}",
    dto=StrictBody[ChangeBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 409, 412, 415, 422),
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

    With `If-Match`, only while the workflow's ETag is that one: else 412. 409: a moderator hides it, so that it cannot
    be published, or has marked it as sensitive.
    """
    accepted = await parts.commands.run(
        ChangeWorkflow(
            by=caller.account,
            workflow=WorkflowId(workflow),
            name=None if data.name is UNSET else data.name,
            description=None if data.description is UNSET else data.description,
            tags=None if data.tags is UNSET else data.tags,
            public=None if data.public is UNSET else data.public,
            sensitive=None if data.sensitive is UNSET else data.sensitive,
            expected=expected,
        ),
        context,
    )
    return Moved(accepted.position)


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


ROUTER = Router(
    "/",
    route_handlers=[create, shelf, show, change, history],
    tags=["workflows"],
)
