"""Liking workflows."""

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context, Source
from domain import like
from domain.ids import AccountId, WorkflowId, like_id
from domain.like import LIKE
from domain.workflow import WORKFLOW


class LikeWorkflow(Command, frozen=True, kw_only=True):
    by: AccountId
    workflow: WorkflowId


class UnlikeWorkflow(Command, frozen=True, kw_only=True):
    by: AccountId
    workflow: WorkflowId


async def like_workflow(command: LikeWorkflow, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""
    return await needs.streams.transact(
        context,
        Change(
            LIKE,
            like_id(command.by, command.workflow),
            lambda state, liked: like.give(state, liked, by=command.by, workflow=command.workflow),
            given=(Source(WORKFLOW, command.workflow),),
        ),
    )


async def unlike_workflow(command: UnlikeWorkflow, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""
    return await needs.streams.transact(
        context,
        Change(
            LIKE,
            like_id(command.by, command.workflow),
            lambda state, liked: like.take_back(state, liked, by=command.by, workflow=command.workflow),
            given=(Source(WORKFLOW, command.workflow),),
        ),
    )
