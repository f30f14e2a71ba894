"""Making a graph of what the editor saves, by what the backends tell of their node classes."""

import asyncio
from typing import Any

from commands.known_backends import believed
from commands.needs import Needs
from domain.ids import AccountId
from domain.refusals import Conflict, FieldError, Invalid
from workflows.definitions import NodeDefinition
from workflows.editor.converting import converted
from workflows.editor.document import read_document
from workflows.graph import unusable

UNTOLD = (
    "No backend has told of its node classes yet, so the editor's graph cannot be converted. "
    "Try again once one is there, or send the graph in API format."
)


async def convert(editor_graph: Any, owner: AccountId, needs: Needs) -> dict[str, Any]:
    """The graph in API format. Raises Invalid with every node at fault, Conflict while no backend has told."""
    if (fault := unusable(editor_graph)) is not None:
        raise Invalid("The editor graph cannot be kept.", FieldError("editor_graph", fault))
    document = read_document(editor_graph)
    definitions = await _definitions(owner, needs)
    if not definitions:
        raise Conflict(UNTOLD)
    return await asyncio.to_thread(converted, document, definitions)


async def _definitions(owner: AccountId, needs: Needs) -> dict[str, NodeDefinition]:
    """Of all backends that serve an account; where they differ, shared and live ones are believed first."""
    view = await needs.backends.now()
    found: dict[str, NodeDefinition] = {}
    for known in reversed(believed(view.backends)):
        if known.serves(owner):
            found |= await needs.backends.definitions(known)
    return found
