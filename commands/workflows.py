"""Keeping workflows: each wish of their owner, one handler."""

from typing import Any

from msgspec import Struct

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context, Source
from commands.versions import stored_version
from commands.words import BLOCKED
from domain import copying, environments, moderation, trash, workflow
from domain.event import Event
from domain.ids import AccountId, Position, WorkflowId
from domain.words import Words, allow
from domain.workflow import WORKFLOW, Workflow, WorkflowEvent, WorkflowVersionSaved


class CreateWorkflow(Command, frozen=True, kw_only=True):
    """`graph` may be left out, or be the editor's: then it is made of the editor's. So in SaveVersion.

    `unconverted_too`: where none can be made the editor's is kept alone.
    """

    owner: AccountId
    name: str
    graph: Any = None
    description: str = ""
    editor_graph: Any = None
    tags: tuple[str, ...] = ()
    public: bool = False
    unconverted_too: bool = False


class SaveVersion(Command, frozen=True, kw_only=True):
    """`expected`: the revision it is meant for, None for any; so in the wishes below."""

    by: AccountId
    workflow: WorkflowId
    graph: Any = None
    editor_graph: Any = None
    note: str = ""
    unconverted_too: bool = False
    expected: int | None = None


class ForkWorkflow(Command, frozen=True, kw_only=True):
    """None: the newest version, and the name of the other."""

    by: AccountId
    source: WorkflowId
    version: int | None = None
    name: str | None = None


class SetEnvironment(Command, frozen=True, kw_only=True):
    by: AccountId
    workflow: WorkflowId
    name: str
    version: int
    expected: int | None = None


class RemoveEnvironment(Command, frozen=True, kw_only=True):
    by: AccountId
    workflow: WorkflowId
    name: str
    expected: int | None = None


class RestoreVersion(Command, frozen=True, kw_only=True):
    by: AccountId
    workflow: WorkflowId
    number: int
    note: str = ""
    expected: int | None = None


class ChangeWorkflow(Command, frozen=True, kw_only=True):
    """Rename, describe, tag, publish or withdraw; None leaves a thing as it is."""

    by: AccountId
    workflow: WorkflowId
    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None
    public: bool | None = None
    sensitive: bool | None = None
    expected: int | None = None


class DeleteWorkflow(Command, frozen=True, kw_only=True):
    """Into the trash, or `for_good`."""

    by: AccountId
    workflow: WorkflowId
    for_good: bool = False
    expected: int | None = None


class RecoverWorkflow(Command, frozen=True, kw_only=True):
    """Out of the trash."""

    by: AccountId
    workflow: WorkflowId
    expected: int | None = None


class Saved(Struct, frozen=True):
    """`version`: the number of the version that was saved, or the newest when nothing was new."""

    id: WorkflowId
    version: int
    position: Position


async def create_workflow(command: CreateWorkflow, context: Context, needs: Needs) -> Saved:
    """Raises Invalid, Conflict, KeyReused."""
    id = WorkflowId(needs.new_id())
    version = await _version(command, command.owner, needs)

    def decide(state: Workflow, *blocked: Words) -> list[WorkflowEvent]:
        events = workflow.create(
            state, owner=command.owner, name=command.name, description=command.description, tags=command.tags
        )
        for each in blocked:
            allow(each, name=command.name, description=command.description, tags="\n".join(command.tags))
        created = WORKFLOW.fold(state, events)
        events += workflow.save_version(created, by=command.owner, **version)
        if command.public:
            events += workflow.publish(created, by=command.owner)
        return events

    given = (BLOCKED,) if command.public else ()
    accepted = await needs.streams.transact(context, Change(WORKFLOW, id, decide, given=given, new=True))
    if accepted.repeated:
        id = WorkflowId(await stream_at(accepted.first, needs))
    return Saved(id, 1, accepted.position)


async def save_version(command: SaveVersion, context: Context, needs: Needs) -> Saved:
    """Raises NotFound, Invalid, Conflict, Outdated, KeyReused."""
    await _owned(command.workflow, command.by, needs)  # before a large graph of a stranger is stored
    version = await _version(command, command.by, needs)
    accepted = await needs.streams.transact(
        context,
        Change(
            WORKFLOW,
            command.workflow,
            lambda state: workflow.save_version(state, by=command.by, note=command.note, **version),
            expected=command.expected,
        ),
    )
    return await _saved(command.workflow, accepted, needs)


async def restore_version(command: RestoreVersion, context: Context, needs: Needs) -> Saved:
    """Raises NotFound, Invalid, Outdated, KeyReused."""
    change = Change(
        WORKFLOW,
        command.workflow,
        lambda state: copying.restore(state, by=command.by, number=command.number, note=command.note),
        expected=command.expected,
    )
    return await _saved(command.workflow, await needs.streams.transact(context, change), needs)


async def fork_workflow(command: ForkWorkflow, context: Context, needs: Needs) -> Saved:
    """Raises NotFound, Invalid, KeyReused."""
    id = WorkflowId(needs.new_id())

    def decide(state: Workflow, source: Workflow) -> list[WorkflowEvent]:
        return copying.fork(
            state,
            by=command.by,
            source=source,
            id=command.source,
            number=command.version,
            name=command.name,
        )

    change = Change(WORKFLOW, id, decide, given=(Source(WORKFLOW, command.source),), new=True)
    accepted = await needs.streams.transact(context, change)
    if accepted.repeated:
        id = WorkflowId(await stream_at(accepted.first, needs))
    return Saved(id, 1, accepted.position)


async def set_environment(command: SetEnvironment, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, Outdated."""

    def decide(state: Workflow) -> list[WorkflowEvent]:
        return environments.point(state, by=command.by, name=command.name, number=command.version)

    change = Change(WORKFLOW, command.workflow, decide, expected=command.expected)
    return await needs.streams.transact(context, change)


async def remove_environment(command: RemoveEnvironment, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Outdated."""
    change = Change(
        WORKFLOW,
        command.workflow,
        lambda state: environments.remove(state, by=command.by, name=command.name),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)


async def change_workflow(command: ChangeWorkflow, context: Context, needs: Needs) -> Accepted:
    """All changes or none. Raises NotFound, Invalid, Outdated, KeyReused."""

    def decide(state: Workflow, blocked: Words) -> list[WorkflowEvent]:
        events: list[WorkflowEvent] = []
        by = command.by
        if command.name is not None:
            events += workflow.rename(state, by=by, name=command.name)
        if command.description is not None:
            events += workflow.describe(state, by=by, description=command.description)
        if command.tags is not None:
            events += workflow.tag(state, by=by, tags=command.tags)
        if command.public is not None:
            events += workflow.publish(state, by=by) if command.public else workflow.withdraw(state, by=by)
        if command.sensitive is not None:
            events += moderation.mark_own_workflow(state, by=by, sensitive=command.sensitive)
        if events and (after := WORKFLOW.fold(state, events)).public:
            allow(blocked, name=after.name, description=after.description, tags="\n".join(after.tags))
        return events

    await _owned(command.workflow, command.by, needs)
    change = Change(WORKFLOW, command.workflow, decide, given=(BLOCKED,), expected=command.expected)
    return await needs.streams.transact(context, change)


async def delete_workflow(command: DeleteWorkflow, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Outdated."""
    change = Change(
        WORKFLOW,
        command.workflow,
        lambda state: (trash.delete if command.for_good else trash.throw_away)(state, by=command.by),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)


async def recover_workflow(command: RecoverWorkflow, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Outdated."""
    change = Change(
        WORKFLOW,
        command.workflow,
        lambda state: trash.recover(state, by=command.by),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)


async def _version(command: CreateWorkflow | SaveVersion, owner: AccountId, needs: Needs) -> dict[str, Any]:
    kept_too = command.unconverted_too
    return await stored_version(command.graph, command.editor_graph, owner, needs, unconverted_too=kept_too)


async def _owned(id: WorkflowId, by: AccountId, needs: Needs) -> None:
    state, _ = await needs.streams.load(WORKFLOW, id)
    workflow.owned(state, by=by)


async def _saved(id: WorkflowId, accepted: Accepted, needs: Needs) -> Saved:
    if accepted.position:
        event = await _event_at(accepted.first, needs)
        if isinstance(event, WorkflowVersionSaved):
            return Saved(id, event.number, accepted.position)
    state, _ = await needs.streams.load(WORKFLOW, id)
    return Saved(id, len(state.versions), accepted.position)


async def _event_at(position: Position, needs: Needs) -> Event | None:
    recorded = await needs.streams.log.at(position)
    return recorded.event if recorded else None


async def stream_at(position: Position, needs: Needs) -> Any:
    recorded = await needs.streams.log.at(position)
    assert recorded is not None
    return recorded.stream
