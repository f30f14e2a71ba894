"""One workflow as files to take along: what it is, every version with its graphs, and to its owner its history."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from commands.needs import Needs
from domain import workflow
from domain.event import AnyRecorded, topic
from domain.ids import AccountId, Digest, WorkflowId
from domain.refusals import NotFound
from domain.workflow import WORKFLOW, Workflow, WorkflowVersionSaved

GONE = "A graph of this workflow is not there."


async def described(id: WorkflowId, by: AccountId | None, needs: Needs) -> Workflow:
    """One that they may see. Raises NotFound."""
    state, _ = await needs.streams.load(WORKFLOW, id)
    workflow.visible(state, by=by)
    return state


async def document(digest: Digest, needs: Needs) -> bytes:
    """Raises NotFound."""
    body = await needs.contents.get(digest)
    if body is None:
        raise NotFound(GONE)
    return body


async def archived(
    id: WorkflowId, state: Workflow, by: AccountId | None, needs: Needs
) -> AsyncIterator[tuple[str, bytes]]:
    """The files by their names, one in memory at a time. Raises NotFound."""
    recorded = await needs.streams.log.read(id)
    saved = [each for each in recorded if isinstance(each.event, WorkflowVersionSaved)]
    yield "workflow.json", _written(_described(id, state, saved))
    for number, version in enumerate(state.versions, start=1):
        if version.graph is not None:
            yield _name(number), await document(version.graph.digest, needs)
        if version.editor_graph is not None:
            yield _name(number, ".editor"), await document(version.editor_graph.digest, needs)
    if by == state.owner:
        yield "history.json", _written([_told(each) for each in recorded])


def _described(id: WorkflowId, state: Workflow, saved: Sequence[AnyRecorded]) -> dict[str, Any]:
    return {
        "id": id,
        "name": state.name,
        "description": state.description,
        "tags": state.tags,
        "public": state.public,
        "versions": [_version(each) for each in saved],
    }


def _version(recorded: AnyRecorded) -> dict[str, Any]:
    saved = recorded.event
    assert isinstance(saved, WorkflowVersionSaved)
    return {
        "number": saved.number,
        "saved_at": recorded.at,
        "note": saved.note,
        "restored_from": saved.restored_from,
        "requirements": saved.requirements,
        "graph": None if saved.graph is None else _name(saved.number),
        "editor_graph": None if saved.editor_graph is None else _name(saved.number, ".editor"),
    }


def _told(recorded: AnyRecorded) -> dict[str, Any]:
    return {
        "position": recorded.position,
        "at": recorded.at,
        "type": topic(recorded.event),
        "actor": recorded.actor,
        "data": {
            name: value for name, value in msgspec.structs.asdict(recorded.event).items() if name != "owner"
        },
    }


def _name(number: int, more: str = "") -> str:
    return f"versions/{number}{more}.json"


def _written(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)
