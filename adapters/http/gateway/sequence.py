"""What one prompt's client hears, in the order in which ComfyUI says it, whatever became of the run on its way.

What the backend says of nodes comes while it happens, and may be lost; what the log says is complete, but comes late.
Both are laid into one row: nothing is said twice, and at the end nothing is missing. Another attempt goes on where the
last one broke off: its client sees nodes begin again, and neither a second beginning nor a picture a second time.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.http.gateway.presenting import Names, error, interrupted, is_file, renamed
from domain.outcome import Course, Failure
from workflows.protocol.messages import (
    CachedBody,
    ErrorBody,
    Executed,
    ExecutedBody,
    Executing,
    ExecutingBody,
    ExecutionCached,
    ExecutionError,
    ExecutionInterrupted,
    ExecutionStart,
    ExecutionSuccess,
    InterruptedBody,
    Message,
    NodeState,
    Progress,
    ProgressBody,
    ProgressState,
    ProgressStateBody,
    PromptBody,
)

RUNNING, FINISHED = "running", "finished"


class Sequence:
    """Of one prompt. `node`: the one that is executed now."""

    def __init__(self, prompt: str, *, began: bool = False) -> None:
        """`began`: somebody has heard of it before."""
        self.prompt = prompt
        self.node: str | None = None
        self.over = False
        self._began = self._cached = began
        self._states: dict[str, NodeState] = {}
        self._entered: set[str] = set()
        self._shown: set[str] = set()
        self._places: dict[str, int] = {}
        self._held: list[Message] = []

    def begin(self, at_ms: int) -> list[Message]:
        if self._began:
            return []
        self._began = True
        return [ExecutionStart(PromptBody(self.prompt, at_ms))]

    def tell(self, messages: list[Message], names: Names, at_ms: int) -> list[Message]:
        """What the backend said. A node's files are spoken of once they are kept: what comes after waits for it."""
        self._held += messages
        said = self.begin(at_ms)
        while self._held:
            message = self._held[0]
            if isinstance(message, Executed) and not self._all_named(message.body, names):
                break
            self._held.pop(0)
            said += self._said(message, names, at_ms)
        return said

    @property
    def waits_for_files(self) -> bool:
        return bool(self._held)

    def lost(self) -> None:
        """The attempt came to nothing: another one begins from the first node."""
        self.node = None
        self._held.clear()
        self._states.clear()
        self._entered.clear()

    def succeed(self, course: Course | None, names: Names, at_ms: int) -> list[Message]:
        course = course or Course()
        said = self.begin(at_ms)
        if not self._cached:
            said += self._said(ExecutionCached(CachedBody(nodes=course.cached, prompt_id="")), names, at_ms)
        ends = {each.node: each for each in course.shown}
        for node in course.executed:
            if node not in self._entered:
                display = ends[node].display if node in ends else node
                said += self._enter(ExecutingBody(node=node, display_node=display))
            if node in ends:
                said += self._show(node, ends[node].display, msgspec.json.decode(ends[node].shown), names)
        for node, each in ends.items():
            said += self._show(node, each.display, msgspec.json.decode(each.shown), names)
        if unfinished := {n: s for n, s in self._states.items() if s.state != FINISHED}:
            self._states |= {node: _finished(state) for node, state in unfinished.items()}
            said.append(self._all_states())
        self._end()
        return [*said, ExecutionSuccess(PromptBody(self.prompt, at_ms))]

    def fail(self, failure: Failure | None, course: Course | None, at_ms: int) -> list[Message]:
        said = self.begin(at_ms)
        about = error(failure, course)
        self._end()
        body = ErrorBody(**_typed(about), prompt_id=self.prompt, timestamp=at_ms)
        return [*said, ExecutionError(body)]

    def interrupt(self, at_ms: int, graph: Any) -> list[Message]:
        """Nothing is said of one that had not begun: as ComfyUI, which takes it out of its queue in silence."""
        began, node = self._began, self.node
        executed = tuple(n for n, state in self._states.items() if state.state == FINISHED)
        self._end()
        if not began:
            return []
        about = interrupted(Course(executed=(*executed, node or "")), graph)
        return [
            ExecutionInterrupted(InterruptedBody(**_typed(about), prompt_id=self.prompt, timestamp=at_ms))
        ]

    def done(self) -> Message:
        """The last thing that is said: it is in the history."""
        return Executing(ExecutingBody(node=None, prompt_id=self.prompt))

    def _said(self, message: Message, names: Names, at_ms: int) -> list[Message]:
        match message:
            case ExecutionCached(body=body) if not self._cached:
                self._cached = True
                return [ExecutionCached(CachedBody(nodes=body.nodes, prompt_id=self.prompt, timestamp=at_ms))]
            case Executing(body=body) if body.node is not None and body.node not in self._entered:
                return self._enter(body)
            case Executed(body=body):
                return self._show(body.node, body.display_node or body.node, body.output or {}, names)
            case ProgressState(body=body):
                return self._progress(body)
            case _:
                return []

    def _enter(self, body: ExecutingBody) -> list[Message]:
        """Nodes come one after the other: the one before has finished."""
        assert body.node is not None
        said: list[Message] = self._finish(body.node)
        display = body.display_node or body.node
        state = self._states.get(body.node) or NodeState(
            value=0,
            max=1,
            state=RUNNING,
            node_id=body.node,
            prompt_id=self.prompt,
            display_node_id=display,
            real_node_id=body.node,
        )
        if self._states.get(body.node) != state:
            self._states[body.node] = state
            said.append(self._all_states())
        self._entered.add(body.node)
        self.node = body.node
        entered = ExecutingBody(node=body.node, display_node=display, prompt_id=self.prompt)
        return [*said, Executing(entered)]

    def _finish(self, but: str) -> list[Message]:
        """All others have, if nobody has told it."""
        states = {node: state if node == but else _finished(state) for node, state in self._states.items()}
        if states == self._states:
            return []
        self._states = states
        return [self._all_states()]

    def _show(self, node: str, display: str, ui: Mapping[str, Any], names: Names) -> list[Message]:
        if node in self._shown:
            return []
        self._shown.add(node)
        output, self._places[display] = renamed(ui, display, self._places.get(display, 0), names)
        body = ExecutedBody(node=node, display_node=display, output=output, prompt_id=self.prompt)
        return [Executed(body)]

    def _progress(self, told: ProgressStateBody) -> list[Message]:
        """Only the newest is told where many come at once: that a node has ended is said before another begins."""
        before = self._states
        now = {
            node: msgspec.structs.replace(state, prompt_id=self.prompt) for node, state in told.nodes.items()
        }
        said: list[Message] = []
        known = {node: state for node, state in now.items() if node in before}
        for states in (known, now) if len(known) == len(before) else (now,):
            if states != self._states:
                self._states = states
                said.append(self._all_states())
        for node, state in self._states.items():
            if state.state == RUNNING and state.value > 0 and before.get(node) != state:
                body = ProgressBody(value=state.value, max=state.max, prompt_id=self.prompt, node=node)
                said.append(Progress(body))
        return said

    def _all_states(self) -> ProgressState:
        return ProgressState(ProgressStateBody(prompt_id=self.prompt, nodes=dict(self._states)))

    def _all_named(self, body: ExecutedBody, names: Names) -> bool:
        display = body.display_node or body.node
        first = self._places.get(display, 0)
        told = [each for kind in (body.output or {}).values() if isinstance(kind, list) for each in kind]
        files = sum(map(is_file, told))
        return body.node in self._shown or all((display, first + place) in names for place in range(files))

    def _end(self) -> None:
        self.node, self.over = None, True
        self._held.clear()


def _finished(state: NodeState) -> NodeState:
    return msgspec.structs.replace(state, state=FINISHED, value=state.max)


def _typed(about: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as the tuples that messages hold."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in about.items()}
