"""Workflows as an editor sees them: files below `workflows/`, whose names are theirs. Each save is a version."""

from collections.abc import Iterable
from typing import Any

from adapters.http.gateway.call import Call, read
from adapters.http.problems import Malformed
from commands.conversion import draw
from commands.workflows import ChangeWorkflow, CreateWorkflow, DeleteWorkflow, SaveVersion
from domain.ids import WorkflowId
from domain.refusals import NotFound
from domain.workflow_texts import MAX_NAME
from projections import workflow_shelf
from projections.workflow_shelf import Newest
from workflows.editor.document import is_editor_graph

FOLDER, ENDING = "workflows/", ".json"
MAX_LISTED = 10_000
NO_WORKFLOW = "This is no workflow as the editor saves it."
NOT_THERE = "The graph of this workflow is not there."
PADDED = "Neither a workflow's name nor a folder of it may begin or end with a space."


def is_workflow(path: str) -> bool:
    """Whether this is how a workflow is called; other files lie beside them, such as `.index.json`."""
    name = path.rpartition("/")[2]
    return path.startswith(FOLDER) and name.endswith(ENDING) and not name.startswith(".")


def name_of(path: str) -> str:
    """The workflow's name. Raises Malformed for one that would not come back as the same path."""
    name = path.removeprefix(FOLDER).removesuffix(ENDING)
    if any(part != part.strip() or not part for part in name.split("/")):
        raise Malformed(PADDED)
    if len(name) > MAX_NAME:
        raise Malformed(f"The name of a workflow, with its folders, has {MAX_NAME} characters at most.")
    return name


def paths(workflows: Iterable[Newest]) -> dict[str, Newest]:
    """Each under a path of its own; of those with one name, the later ones get a number."""
    found: dict[str, Newest] = {}
    for each in workflows:
        path, number = _path(each.name), 1
        while (tried := path if number == 1 else f"{path} ({number})") + ENDING in found:
            number += 1
        found[tried + ENDING] = each
    return found


async def shelved(call: Call) -> dict[str, Newest]:
    """The caller's."""
    reader = await call.reader()
    return paths(await reader.ask(workflow_shelf.newest, call.caller.account, MAX_LISTED))


async def body_of(call: Call, workflow: Newest) -> bytes:
    """Of one that came without the editor's graph it is drawn. Raises NotFound."""
    needs = call.parts.commands.needs
    digest = workflow.editor_graph or workflow.graph
    body = None if digest is None else await needs.contents.get(digest)
    if body is None:
        raise NotFound(NOT_THERE)
    if workflow.editor_graph is None:
        return await draw(body, str(workflow.id), call.caller.account, needs)
    return body


async def save(call: Call, path: str, body: bytes, before: Newest | None) -> None:
    """Another version, or the first one. Raises Malformed, Invalid, ObjectTooLarge."""
    name, drawing = name_of(path), read(body, Any)
    if not is_editor_graph(drawing):
        raise Malformed(NO_WORKFLOW)
    account = call.caller.account
    wish: CreateWorkflow | SaveVersion
    if before is None:
        wish = CreateWorkflow(owner=account, name=name, editor_graph=drawing, unconverted_too=True)
    else:
        wish = SaveVersion(by=account, workflow=before.id, editor_graph=drawing, unconverted_too=True)
    await call.parts.commands.run(wish, call.context())


async def rename(call: Call, workflow: Newest, to: str) -> None:
    wish = ChangeWorkflow(by=call.caller.account, workflow=workflow.id, name=name_of(to))
    await call.parts.commands.run(wish, call.context())


async def throw_away(call: Call, workflow: WorkflowId) -> None:
    """Into the trash."""
    wish = DeleteWorkflow(by=call.caller.account, workflow=workflow)
    await call.parts.commands.run(wish, call.context())


def _path(name: str) -> str:
    """What no path can have, and what a name has at its edges, is left out."""
    parts = (
        "".join(each if each.isprintable() else " " for each in part).strip() for part in name.split("/")
    )
    kept = ("_" if part in ("", ".", "..") or part.startswith(".") else part for part in parts)
    return FOLDER + "/".join(part.replace("\\", "_") for part in kept)
