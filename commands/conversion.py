"""Making a graph of what the editor saves, by what the backends tell of their node classes."""

import asyncio
from typing import Any

import msgspec

from commands.known_backends import believed
from commands.needs import Needs
from domain.ids import AccountId
from domain.refusals import Conflict, FieldError, Invalid
from workflows.definitions import NodeDefinition
from workflows.editor.converting import converted
from workflows.editor.document import read_document
from workflows.editor.drawing import drawn
from workflows.graph import Node, unusable

UNTOLD = (
    "No backend has told of its node classes yet, so the editor's graph cannot be converted. "
    "Try again once one is there, or send the graph in API format."
)


async def convert(editor_graph: Any, owner: AccountId, needs: Needs) -> dict[str, Any]:
    """The graph in API format. Raises Invalid with every node at fault, Conflict while no backend has told."""
    if (fault := unusable(editor_graph)) is not None:
        raise Invalid("The editor graph cannot be kept.", FieldError("editor_graph", fault))
    document = read_document(editor_graph)
    definitions = await known_definitions(owner, needs)
    if not definitions:
        raise Conflict(UNTOLD)
    return await asyncio.to_thread(converted, document, definitions)


async def draw(graph: bytes, id: str, owner: AccountId, needs: Needs) -> bytes:
    """A graph in API format as the editor opens it, as well as it can be told from what backends have told."""
    definitions = await known_definitions(owner, needs)
    return await asyncio.to_thread(_drawn, graph, id, definitions)


async def known_definitions(owner: AccountId, needs: Needs) -> dict[str, NodeDefinition]:
    """Of all backends that serve an account; where they differ, shared and live ones are believed first."""
    view = await needs.backends.now()
    found: dict[str, NodeDefinition] = {}
    for known in reversed(believed(view.backends)):
        if known.serves(owner):
            found |= await needs.backends.definitions(known)
    return found


def _drawn(graph: bytes, id: str, definitions: dict[str, NodeDefinition]) -> bytes:
    known = msgspec.json.decode(graph, type=dict[str, dict[str, Any]])
    titles = {key: title for key, node in known.items() if (title := _title(node.get("_meta")))}
    return msgspec.json.encode(drawn(msgspec.convert(known, dict[str, Node]), titles, definitions, id))


def _title(meta: Any) -> str:
    title = meta.get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) else ""
