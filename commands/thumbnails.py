"""The pictures that workflows are shown by: one that a run of their owner has made, or one that was uploaded."""

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context, Source
from domain import thumbnail
from domain.ids import AccountId, RunId, WorkflowId
from domain.outcome import Image
from domain.refusals import NotFound
from domain.run import RUN, Run, Status
from domain.workflow import WORKFLOW, Workflow, WorkflowEvent

NO_OUTPUT = "There is no such output."


class ShowByOutput(Command, frozen=True, kw_only=True):
    """`thumbnails`: of an output of the run, as the read models have it."""

    by: AccountId
    workflow: WorkflowId
    run: RunId
    thumbnails: tuple[Image, ...]
    expected: int | None = None


class ShowByPicture(Command, frozen=True, kw_only=True):
    """Their bytes are in the object store."""

    by: AccountId
    workflow: WorkflowId
    thumbnails: tuple[Image, ...]
    expected: int | None = None


class RemoveThumbnail(Command, frozen=True, kw_only=True):
    by: AccountId
    workflow: WorkflowId
    expected: int | None = None


async def show_by_output(command: ShowByOutput, context: Context, needs: Needs) -> Accepted:
    """Decided together with the run: what is deleted at this moment is not kept. Raises NotFound, Invalid, Outdated."""

    def decide(state: Workflow, run: Run) -> list[WorkflowEvent]:
        decided = thumbnail.show(state, by=command.by, thumbnails=command.thumbnails)
        if run.owner != command.by or run.status is Status.DELETED:
            raise NotFound(NO_OUTPUT)
        return decided

    given = (Source(RUN, command.run),)
    change = Change(WORKFLOW, command.workflow, decide, given=given, expected=command.expected)
    return await needs.streams.transact(context, change)


async def show_by_picture(command: ShowByPicture, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, Outdated."""
    change = Change(
        WORKFLOW,
        command.workflow,
        lambda state: thumbnail.show(state, by=command.by, thumbnails=command.thumbnails),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)


async def remove_thumbnail(command: RemoveThumbnail, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Outdated."""
    change = Change(
        WORKFLOW,
        command.workflow,
        lambda state: thumbnail.remove(state, by=command.by),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)
