"""Likes of workflows."""

from uuid import UUID

from litestar import Router, delete, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.likes import LikeWorkflow, UnlikeWorkflow
from commands.streams import Context
from domain.ids import WorkflowId


@put("/workflows/{workflow:uuid}/like", status_code=200, responses=answers(200, Moved, 401, 404))
async def like(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Like a workflow that you may see. Asking twice changes nothing."""
    wish = LikeWorkflow(by=caller.account, workflow=WorkflowId(workflow))
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/workflows/{workflow:uuid}/like", status_code=200, responses=answers(200, Moved, 401, 404))
async def unlike(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Take the like back, also of a workflow that was hidden since."""
    wish = UnlikeWorkflow(by=caller.account, workflow=WorkflowId(workflow))
    return Moved((await parts.commands.run(wish, context)).position)


ROUTER = Router("/", route_handlers=[like, unlike], tags=["community"])
