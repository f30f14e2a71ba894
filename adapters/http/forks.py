"""Workflows that begin as another's, and names that stand for a version."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.versions import NO_WORKFLOW, SavedAnswer, saved_answer
from adapters.http.workflow_answers import WorkflowPage
from commands.streams import Context
from commands.workflows import ForkWorkflow, RemoveEnvironment, Saved, SetEnvironment
from domain.ids import WorkflowId
from projections import workflow_shelf


class ForkBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Left out: the newest version, and the name of the other."""

    version: Annotated[int, Meta(ge=1)] | None = None
    name: str | None = None


class EnvironmentBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    version: Annotated[int, Meta(ge=1, examples=[1])]


@post(
    "/workflows/{workflow:uuid}/fork",
    dto=StrictBody[ForkBody],
    return_dto=None,
    responses=answers(201, SavedAnswer, 401, 404, 409, 415, 422),
)
async def fork(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    data: JSONBody[ForkBody] = ForkBody(),
) -> Response[SavedAnswer]:
    """Begin a workflow of your own with a version of another: one of yours, or a public one.

    It says where it is from as `forked_from`. It is private, whatever the other is.
    """
    wish = ForkWorkflow(by=caller.account, source=WorkflowId(workflow), version=data.version, name=data.name)
    saved: Saved = await parts.commands.run(wish, context)
    return saved_answer(saved, f"{parts.public_url}/api/v1/workflows/{saved.id}")


@get("/workflows/{workflow:uuid}/forks", security=ANYBODY, responses=answers(200, WorkflowPage, 404, 422))
async def forks(
    workflow: FromPath[UUID],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """What has begun as a version of this workflow, the newest first: your own and public ones."""
    await reader.one(workflow_shelf.workflow, workflow, missing=NO_WORKFLOW)
    return await reader.page(workflow_shelf.forks, workflow, limit=limit, cursor=cursor)


@put(
    "/workflows/{workflow:uuid}/environments/{name:str}",
    dto=StrictBody[EnvironmentBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 412, 415, 422),
)
async def point(
    workflow: FromPath[UUID],
    name: FromPath[str],
    data: JSONBody[EnvironmentBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Let a name such as `production` stand for a version. Runs may name it in place of a version: callers keep one
    URL while versions move. Every move is in the workflow's history. `If-Match` as in PATCH.
    """
    wish = SetEnvironment(
        by=caller.account,
        workflow=WorkflowId(workflow),
        name=name,
        version=data.version,
        expected=expected,
    )
    return Moved((await parts.commands.run(wish, context)).position)


@delete(
    "/workflows/{workflow:uuid}/environments/{name:str}",
    status_code=200,
    responses=answers(200, Moved, 401, 404, 412),
)
async def remove(
    workflow: FromPath[UUID],
    name: FromPath[str],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Let a name stand for nothing any more. `If-Match` as in PATCH."""
    wish = RemoveEnvironment(by=caller.account, workflow=WorkflowId(workflow), name=name, expected=expected)
    return Moved((await parts.commands.run(wish, context)).position)


ROUTER = Router("/", route_handlers=[fork, forks, point, remove], tags=["workflows"])
