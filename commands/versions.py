"""The documents of a version: checked, converted where they are the editor's, and stored beside the log."""

from typing import Any

import msgspec

from commands.conversion import convert
from commands.needs import Needs
from commands.ports import ObjectTooLarge
from domain.ids import AccountId
from domain.refusals import Conflict, FieldError, Invalid
from domain.workflow import Content, Requirements
from workflows.editor.document import is_editor_graph
from workflows.graph import read_graph, unusable

MAX_REASON = 500
TWO_EDITOR_GRAPHS = "Both graphs are the editor's, and they differ."


async def stored_version(
    graph: Any, editor_graph: Any, owner: AccountId, needs: Needs, *, unconverted_too: bool = False
) -> dict[str, Any]:
    """Returns the arguments of `workflow.save_version`. Raises Invalid, Conflict, ObjectTooLarge.

    `unconverted_too`: an editor's graph of which no other can be made is kept alone, with the reason.
    """
    if is_editor_graph(graph):
        if editor_graph is not None and editor_graph != graph:
            raise Invalid(TWO_EDITOR_GRAPHS, FieldError("graph", TWO_EDITOR_GRAPHS))
        graph, editor_graph = None, graph
    read, unconverted = None, ""
    if graph is None and is_editor_graph(editor_graph):
        try:
            read = read_graph(await convert(editor_graph, owner, needs))
        except (Invalid, Conflict) as refusal:
            if not unconverted_too:
                raise
            unconverted = _reason(refusal)
    else:
        read = read_graph(graph)
    if read is not None:
        _fits("graph", read.body, needs)
    stored_editor_graph = None
    if editor_graph is not None:
        if not isinstance(editor_graph, dict):
            raise Invalid("The editor graph is not an object.", FieldError("editor_graph", "Not an object."))
        if (fault := unusable(editor_graph)) is not None:
            raise Invalid("The editor graph cannot be kept.", FieldError("editor_graph", fault))
        body = msgspec.json.encode(editor_graph)
        _fits("editor_graph", body, needs)
        stored_editor_graph = Content(await needs.contents.put(body), len(body))
    return {
        "graph": None if read is None else Content(await needs.contents.put(read.body), len(read.body)),
        "editor_graph": stored_editor_graph,
        "requirements": Requirements() if read is None else read.requirements,
        "unconverted": unconverted,
    }


def _reason(refusal: Invalid | Conflict) -> str:
    """The first of what is wrong is enough to begin with."""
    first = refusal.errors[0] if isinstance(refusal, Invalid) and refusal.errors else None
    return (f"{refusal} {first.field}: {first.reason}" if first else str(refusal))[:MAX_REASON]


def _fits(field: str, body: bytes, needs: Needs) -> None:
    if len(body) > needs.limits.graph_bytes:
        raise ObjectTooLarge(f"The {field} has more than {needs.limits.graph_bytes} bytes.")
