"""Showing outputs to everybody, and liking them."""

from collections.abc import Sequence

from msgspec import Struct

from commands.needs import Command, Needs
from commands.stored_outputs import stored_output
from commands.streams import Accepted, Change, Context, Source
from commands.words import BLOCKED
from domain import output_like, shared_output
from domain import run as runs
from domain.ids import AccountId, OutputId, Position, RunId, output_id, output_like_id
from domain.output_like import OUTPUT_LIKE, OutputLike, OutputLikeEvent
from domain.refusals import NotFound
from domain.run import RUN, Run, RunSubmitted, source_of
from domain.shared_output import NO_OUTPUT, SHARED_OUTPUT, OutputPublished, SharedOutput, SharedOutputEvent
from domain.source import ParametersSource, TemplateSource
from domain.words import Words, allow
from domain.workflow import Content


class PublishOutput(Command, frozen=True, kw_only=True):
    """`with_workflow`: how it was made is shown as well."""

    by: AccountId
    run: RunId
    node: str
    index: int
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    sensitive: bool = False
    with_workflow: bool = False


class WithdrawOutput(Command, frozen=True, kw_only=True):
    by: AccountId
    output: OutputId


class LikeOutput(Command, frozen=True, kw_only=True):
    by: AccountId
    output: OutputId


class UnlikeOutput(Command, frozen=True, kw_only=True):
    by: AccountId
    output: OutputId


class PublishedOutput(Struct, frozen=True):
    id: OutputId
    position: Position


async def publish_output(command: PublishOutput, context: Context, needs: Needs) -> PublishedOutput:
    """Again, it says other things of it. Raises NotFound, Invalid, Conflict, KeyReused."""
    id = output_id(command.run, command.node, command.index)
    state, _ = await needs.streams.load(RUN, command.run)
    runs.owned(state, by=command.by)
    output = await stored_output(command.run, command.node, command.index, needs)
    graph, values = await _made(command.run, needs) if command.with_workflow else (None, None)
    published = OutputPublished(
        owner=command.by,
        run=command.run,
        output=output,
        name=command.name,
        description=command.description,
        tags=command.tags,
        sensitive=command.sensitive,
        graph=graph,
        values=values,
    )

    def decide(shared: SharedOutput, run: Run, blocked: Words) -> Sequence[SharedOutputEvent]:
        events = shared_output.publish(shared, run, published=published)
        allow(blocked, name=command.name, description=command.description, tags="\n".join(command.tags))
        return events

    change = Change(SHARED_OUTPUT, id, decide, given=(Source(RUN, command.run), BLOCKED))
    return PublishedOutput(id, (await needs.streams.transact(context, change)).position)


async def withdraw_output(command: WithdrawOutput, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""
    change = Change(
        SHARED_OUTPUT, command.output, lambda shared: shared_output.withdraw(shared, by=command.by)
    )
    return await needs.streams.transact(context, change)


async def like_output(command: LikeOutput, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""
    shared, _ = await needs.streams.load(SHARED_OUTPUT, command.output)
    if shared.shown is None:
        raise NotFound(NO_OUTPUT)

    def decide(like: OutputLike, liked: SharedOutput, run: Run) -> Sequence[OutputLikeEvent]:
        return output_like.give(like, liked, run, by=command.by, output=command.output)

    given = (Source(SHARED_OUTPUT, command.output), Source(RUN, shared.shown.run))
    change = Change(OUTPUT_LIKE, output_like_id(command.by, command.output), decide, given=given)
    return await needs.streams.transact(context, change)


async def unlike_output(command: UnlikeOutput, context: Context, needs: Needs) -> Accepted:
    """Also of one that is shown no more. Raises NotFound for what never was."""
    shared, _ = await needs.streams.load(SHARED_OUTPUT, command.output)
    like, _ = await needs.streams.load(OUTPUT_LIKE, output_like_id(command.by, command.output))
    if like.given is None:
        if shared.shown is None:
            raise NotFound(NO_OUTPUT)
        run, _ = await needs.streams.load(RUN, shared.shown.run)
        shared_output.visible(shared, run, by=command.by)
    change = Change(OUTPUT_LIKE, output_like_id(command.by, command.output), output_like.take_back)
    return await needs.streams.transact(context, change)


async def _made(run: RunId, needs: Needs) -> tuple[Content, Content | None]:
    """The graph that was executed, and the values of the form or parameters that it was made from."""
    (first, *_) = await needs.streams.log.read(run)
    assert isinstance(first.event, RunSubmitted)
    match source_of(first.event):
        case ParametersSource(values=values) | TemplateSource(values=values):
            return first.event.graph, values
        case _:
            return first.event.graph, None
