"""Files that hold a workflow: JSON of either format, and pictures that ComfyUI made."""

from typing import Any

import msgspec
from msgspec import Struct

from domain.refusals import FieldError, Invalid
from workflows.editor.document import is_editor_graph
from workflows.png_texts import is_png, png_texts

PROMPT, WORKFLOW = "prompt", "workflow"
NO_WORKFLOW = "There is no workflow in the picture. ComfyUI keeps it in PNGs only, and many programs drop it."
NOT_JSON = "It is no JSON."
WHICH = "It is neither a workflow as JSON nor a PNG that ComfyUI made."


class Imported(Struct, frozen=True):
    """`graph` is None where only the editor's is there."""

    graph: Any
    editor_graph: Any


def imported(body: bytes, limit_bytes: int) -> Imported:
    """What is in a file. `limit_bytes`: of one graph. Raises Invalid."""
    if is_png(body):
        return _of_picture(png_texts(body, frozenset((PROMPT, WORKFLOW)), limit_bytes))
    if len(body) > limit_bytes:
        raise _refused(f"The workflow has more than {limit_bytes} bytes.")
    graph = _decoded(body.removeprefix(b"\xef\xbb\xbf"), WHICH)
    return Imported(None, graph) if is_editor_graph(graph) else Imported(graph, None)


def _of_picture(texts: dict[str, str]) -> Imported:
    graph = _decoded(texts[PROMPT].encode(), NOT_JSON) if PROMPT in texts else None
    drawn = _decoded(texts[WORKFLOW].encode(), NOT_JSON) if WORKFLOW in texts else None
    editor_graph = drawn if is_editor_graph(drawn) else None
    if graph is None and editor_graph is None:
        raise _refused(NO_WORKFLOW)
    return Imported(graph, editor_graph)


def _decoded(body: bytes, otherwise: str) -> Any:
    if b"\\u0000" in body:
        raise _refused("It holds the NUL character.")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(otherwise) from error
    except RecursionError as error:
        raise _refused("It is nested too deeply.") from error


def _refused(reason: str) -> Invalid:
    return Invalid("The file cannot be imported.", FieldError("file", reason))
