"""Workflows out of files: a graph, or an archive with all versions."""

import asyncio

from commands.needs import Command, Needs
from commands.streams import Change, Context
from commands.versions import stored_version
from commands.workflows import CreateWorkflow, Saved, create_workflow, stream_at
from domain.copying import Brought, bring_in
from domain.ids import AccountId, WorkflowId
from domain.refusals import FieldError, Invalid
from domain.workflow import WORKFLOW, SavedVersion, Workflow, WorkflowEvent
from workflows.archive import AboutVersion, Archive, archive, is_archive
from workflows.importing import imported


class ImportWorkflow(Command, frozen=True, kw_only=True):
    """`body`: a file with a workflow in it. `name` is asked for, or empty: then the file's own, or `otherwise`."""

    owner: AccountId
    name: str
    otherwise: str
    body: bytes


async def import_workflow(command: ImportWorkflow, context: Context, needs: Needs) -> Saved:
    """Raises Invalid, Conflict, KeyReused."""
    if is_archive(command.body):
        return await _bring_in(command, context, needs)
    found = await asyncio.to_thread(imported, command.body, needs.limits.graph_bytes)
    wish = CreateWorkflow(
        owner=command.owner,
        name=command.name or command.otherwise,
        graph=found.graph,
        editor_graph=found.editor_graph,
    )
    return await create_workflow(wish, context, needs)


async def _bring_in(command: ImportWorkflow, context: Context, needs: Needs) -> Saved:
    """Every version is checked and stored before the first is in the log; one at a time is in memory."""
    id = WorkflowId(needs.new_id())
    with archive(command.body, needs.limits.graph_bytes) as opened:
        about = opened.about
        versions = [await _brought(opened, version, command.owner, needs) for version in about.versions]

    def decide(state: Workflow) -> list[WorkflowEvent]:
        return bring_in(
            state,
            owner=command.owner,
            name=command.name or about.name,
            description=about.description,
            tags=about.tags,
            source=WorkflowId(about.id),
            saved_at=tuple(version.saved_at for version in about.versions if version.saved_at is not None),
            versions=versions,
        )

    accepted = await needs.streams.transact(context, Change(WORKFLOW, id, decide, new=True))
    if accepted.repeated:
        id = WorkflowId(await stream_at(accepted.first, needs))
    return Saved(id, len(versions), accepted.position)


async def _brought(opened: Archive, version: AboutVersion, owner: AccountId, needs: Needs) -> Brought:
    """Raises Invalid, with paths in the file of the version."""
    graphs = await asyncio.to_thread(opened.graphs, version)
    name = version.graph or version.editor_graph or ""
    if version.graph is not None and not isinstance(graphs.graph, dict):
        raise Invalid("The graph must be an object of nodes.", FieldError(name, "It is not an object."))
    try:
        stored = await stored_version(
            graphs.graph, graphs.editor_graph, owner, needs, unconverted_too=version.graph is None
        )
    except Invalid as refusal:
        errors = (FieldError(f"{name}: {each.field}", each.reason) for each in refusal.errors)
        raise Invalid(str(refusal), *errors) from refusal
    return Brought(SavedVersion(**stored), version.note, version.restored_from)
