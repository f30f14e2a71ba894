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


class NodeShown(Struct, frozen=True):
    """What a node showed when it was done, as JSON. `display`: the node of the graph that it was expanded from."""

    node: str
    display: str
    shown: str


class Course(Struct, frozen=True):
    """What an attempt did, node by node: those it took from the backend's cache, and those it executed, in order.

    Files that were shown are among the outputs, in the same order.
    """

    cached: tuple[str, ...] = ()
    executed: tuple[str, ...] = ()
    shown: tuple[NodeShown, ...] = ()


MAX_COURSE_BYTES = 16 * 1024  # an event is small
MAX_COURSE_NODES = 500


def short(course: Course) -> Course:
    """So much of a course as fits into an event."""
    kept, room = [], MAX_COURSE_BYTES
    for each in course.shown[:MAX_COURSE_NODES]:
        shown = each.shown if len(each.shown.encode()) <= room else "{}"
        room -= len(shown.encode())
        kept.append(NodeShown(each.node, each.display, shown))
    return Course(course.cached[:MAX_COURSE_NODES], course.executed[:MAX_COURSE_NODES], tuple(kept))


MAX_TIMED_NODES = 50  # an event is small: the others took less


def slowest(nodes: tuple[NodeTime, ...]) -> tuple[NodeTime, ...]:
    """In the order they came."""
    if len(nodes) <= MAX_TIMED_NODES:
        return nodes
    kept = sorted(range(len(nodes)), key=lambda place: nodes[place].seconds)[-MAX_TIMED_NODES:]
    return tuple(nodes[place] for place in sorted(kept))
