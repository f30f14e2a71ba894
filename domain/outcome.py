"""What comes of an attempt: files, or a failure in plain words, and how long each node took."""

from enum import StrEnum

from msgspec import Struct

from domain.ids import Digest


class Image(Struct, frozen=True):
    """A picture in the object store; sizes in pixels and bytes."""

    digest: Digest
    size_bytes: int
    media_type: str
    width: int
    height: int


class FileType(StrEnum):
    """Of ComfyUI's folders: for keeping, or for a look."""

    OUTPUT = "output"
    TEMP = "temp"


class Output(Struct, frozen=True):
    """One file a run produced. `node` is the node's id in the graph, `index` its place among that node's files.

    `subfolder` and `type`: where ComfyUI has put it, as the author of the graph knows its folders.
    """

    node: str
    index: int
    name: str
    digest: Digest
    size_bytes: int
    media_type: str
    width: int = 0
    height: int = 0
    thumbnails: tuple[Image, ...] = ()
    subfolder: str = ""
    type: FileType = FileType.OUTPUT


class FailureKind(StrEnum):
    NODE = "node"
    VALIDATION = "validation"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    TRANSPORT = "transport"
    LOST = "lost"
    OUTPUT = "output"


RETRIED = {FailureKind.OUT_OF_MEMORY, FailureKind.TRANSPORT, FailureKind.LOST}
"""Another attempt may end better; the other kinds would fail the same way again."""


class Failure(Struct, frozen=True):
    """Why an attempt ended badly, in plain words: what failed, where in the graph, and what may help."""

    kind: FailureKind
    reason: str
    node: str | None = None
    node_class: str | None = None
    advice: str = ""


class NodeTime(Struct, frozen=True):
    """How long one node of the graph took."""

    node: str
    seconds: float


MAX_TIMED_NODES = 50  # an event is small: the others took less


def slowest(nodes: tuple[NodeTime, ...]) -> tuple[NodeTime, ...]:
    """In the order they came."""
    if len(nodes) <= MAX_TIMED_NODES:
        return nodes
    kept = sorted(range(len(nodes)), key=lambda place: nodes[place].seconds)[-MAX_TIMED_NODES:]
    return tuple(nodes[place] for place in sorted(kept))
