"""What the signals have told of one prompt so far, and what a history entry tells of it: the same ending."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, ValidationError, convert, json

from adapters.comfyui.translate import node_failure
from domain.outcome import Course, NodeShown, NodeTime
from services.ports.backend import BackendFile, Broken, Ending, Finished, Interrupted
from workflows.protocol.history import HistoryResult, NodeOutput, ending, output_files
from workflows.protocol.messages import ErrorBody, NodeState

COPIED = {"output", "temp"}  # a file of type `input` is not a result
_DIGITS = re.compile(r"(\d+)")


class Trace:
    """One prompt as heard on one connection. `line` is that connection: heard from first to last, it tells all.

    `asked`: somebody wants to be told of each node.
    """

    def __init__(self, classes: Mapping[str, str], line: object | None, *, asked: bool = False) -> None:
        self.asked = asked
        self.classes = classes
        self.line = line
        self.began_ms: int | None = None
        self.cached: tuple[str, ...] = ()
        self.node: str | None = None
        self._entered_at: float | None = None
        self._spent: dict[str, float] = {}
        self.states: Mapping[str, NodeState] = {}
        self._outputs: dict[str, tuple[str, NodeOutput]] = {}
        self._executed: dict[str, None] = {}

    def enter(self, node: str | None, now: float, expanded: str | None = None) -> None:
        """From now on that node is executed; None: none is. Nodes come one after the other.

        `expanded`: the one that it is, where the node of the graph was expanded into several.
        """
        if node is not None:
            self._executed[expanded or node] = None
        if self.node is not None and self._entered_at is not None:
            spent = now - self._entered_at
            self._spent[self.node] = self._spent.get(self.node, 0.0) + spent
        self._entered_at = None if node is None else now
        self.node = node or self.node

    def spent(self) -> tuple[NodeTime, ...]:
        """By node, in the order they began."""
        return tuple(NodeTime(node, round(seconds, 3)) for node, seconds in self._spent.items())

    def executed(self, node: str, display_node: str | None, output: NodeOutput) -> None:
        self._outputs[node] = (display_node or node, output)

    def made_by(self, node: str) -> tuple[BackendFile, ...]:
        """The files of a node of the graph, which come before those of what it was expanded to."""
        return files({node: self._outputs[node]}) if node in self.classes else ()

    def finished(self, at_ms: int) -> Finished:
        execution_s = max(0, at_ms - self.began_ms) / 1000 if self.began_ms is not None else 0.0
        return Finished(
            files=files(self._outputs), execution_s=execution_s, nodes=self.spent(), course=self.course()
        )

    def course(self) -> Course:
        return Course(self.cached, tuple(self._executed), shown(self._outputs))

    def percent(self) -> float:
        """Over all nodes of the graph; a running node counts by its own progress."""
        done = len(self.classes.keys() & self.cached)
        share = 0.0
        for node, state in self.states.items():
            if node not in self.classes or node in self.cached:
                continue  # a node that another one expanded into
            if state.state == "finished":
                done += 1
            elif state.max > 0:
                share += min(1.0, max(0.0, state.value / state.max))
        return min(100.0, 100.0 * (done + share) / max(1, len(self.classes)))


def files(outputs: Mapping[str, tuple[str, NodeOutput]]) -> tuple[BackendFile, ...]:
    """Node id -> (node of the graph, what it showed). Sorted by node, so that a second look finds the same order."""
    return tuple(
        BackendFile(node=display, filename=file.filename, subfolder=file.subfolder, type=file.type)
        for node in sorted(outputs, key=_natural)
        for display, output in (outputs[node],)
        for _, file in output_files(output)
        if file.type in COPIED
    )


def shown(outputs: Mapping[str, tuple[str, NodeOutput]]) -> tuple[NodeShown, ...]:
    """In the order of `files`."""
    return tuple(
        NodeShown(node, outputs[node][0], json.encode(outputs[node][1]).decode())
        for node in sorted(outputs, key=_natural)
    )


def ended(result: HistoryResult, nodes: tuple[NodeTime, ...] = ()) -> Ending:
    """A history entry's verdict. `error` includes interrupted: only the last message tells them apart.

    `nodes`: what was heard of their times; the history does not tell.
    """
    outputs = _history_outputs(result)
    if result.status is None:
        return Finished(
            files=files(outputs), execution_s=0.0, nodes=nodes, course=Course(shown=shown(outputs))
        )
    last, details = ending(result.status)
    cached = next((details for name, details in result.status.messages if name == "execution_cached"), {})
    course = Course(cached=_names(cached.get("nodes")), shown=shown(outputs))
    if result.status.status_str == "success":
        times = [_timestamp(message) for _, message in result.status.messages]
        execution_s = max(0, times[-1] - times[0]) / 1000 if times else 0.0
        return Finished(files=files(outputs), execution_s=execution_s, nodes=nodes, course=course)
    if last == "execution_interrupted":
        return Interrupted()
    return Broken(failure=node_failure(_error(details)), nodes=nodes, course=course)


class Names(Struct, frozen=True):
    """What an error's details must have to be of use; the rest of them may have any shape."""

    prompt_id: str = ""
    node_id: str | None = None
    node_type: str | None = None
    exception_message: str = ""
    exception_type: str = ""


def _error(details: dict[str, Any]) -> ErrorBody:
    try:
        named = convert(details, Names)
    except ValidationError:
        named = Names()
    return ErrorBody(
        prompt_id=named.prompt_id,
        node_id=named.node_id,
        node_type=named.node_type,
        exception_message=named.exception_message,
        exception_type=named.exception_type,
    )


def _names(told: Any) -> tuple[str, ...]:
    return tuple(each for each in told if isinstance(each, str)) if isinstance(told, list) else ()


def _history_outputs(result: HistoryResult) -> dict[str, tuple[str, NodeOutput]]:
    def display(node: str) -> str:
        meta = result.meta.get(node)
        return (meta.display_node if meta else None) or node

    return {node: (display(node), output) for node, output in result.outputs.items()}


def _timestamp(message: dict[str, Any]) -> int:
    value = message.get("timestamp", 0)
    return value if isinstance(value, int) else 0


def _natural(node: str) -> list[tuple[int, int, str]]:
    """ "2" before "10", "1.0.2" after "1"."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(node) if part]
