"""Workflows that are thrown away: found again in the trash, taken out of it, or removed for good."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.workflow_answers import TrashPage
from commands.streams import Context
from commands.workflows import DeleteWorkflow, RecoverWorkflow
from domain.ids import WorkflowId
from projections import workflow_shelf


@get("/workflows/trash", responses=answers(200, TrashPage, 401, 422))
async def trash(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """What you have thrown away and was not removed yet, the last first."""
    return await reader.page(workflow_shelf.trash, caller.account, limit=limit, cursor=cursor)


@delete("/workflows/{workflow:uuid}", status_code=200, responses=answers(200, Moved, 401, 404, 412, 422))
async def remove(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
    for_good: Annotated[
        bool, QueryParameter(description="Remove it at once, or out of the trash: it cannot come back.")
    ] = False,
) -> Moved:
    """Put a workflow into the trash: nobody sees or runs it, and after some weeks it is removed for good.

    Runs that wait go on. Its history stays, whatever becomes of it. Asked again, nothing changes. `If-Match` as in
    PATCH.
    """
    wish = DeleteWorkflow(
        by=caller.account, workflow=WorkflowId(workflow), for_good=for_good, expected=expected
    )
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


@post(
    "/workflows/{workflow:uuid}/restore", status_code=200, responses=answers(200, Moved, 401, 404, 409, 412)
)
async def recover(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Take a workflow out of the trash as it was: with its versions, and public if it was. `If-Match` as in PATCH."""
    wish = RecoverWorkflow(by=caller.account, workflow=WorkflowId(workflow), expected=expected)
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


ROUTER = Router("/", route_handlers=[trash, remove, recover], tags=["workflows"])
