"""Executing prompts one after the other, telling as ComfyUI tells. Of results only the last prompt's are kept."""

import os
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field, to_builtins

from infra.sandbox.call import RunningCall
from infra.sandbox.folders import Folders
from infra.sandbox.node import InterruptedRunError, NodeClass, Result
from infra.sandbox.plan import is_link, order, signatures
from infra.sandbox.settings import Faults
from infra.sandbox.sockets import Sockets
from workflows.protocol import messages as wire
from workflows.protocol.frames import PreviewMetadata
from workflows.protocol.history import HistoryEntry, HistoryStatus, NodeMeta, NodeOutput
from workflows.protocol.messages import NodeState
from workflows.protocol.queue import QueuedPrompt

MEMORY_ADVICE = (
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before "
    "you might have accidentally set the batch_size to a large number."
)


class OutOfMemoryError(Exception):
    """A node that needs more memory than there is."""


OutOfMemoryError.__module__ = "torch"  # the name that clients of the original see


class Run(Struct):
    """One prompt being executed."""

    prompt: QueuedPrompt
    client: str | None
    signatures: dict[str, bytes]
    states: dict[str, NodeState] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, NodeOutput] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.prompt.prompt_id


class Engine:
    """Used by one thread; `interrupted` may be set, and `now` read, by others."""

    def __init__(
        self,
        nodes: dict[str, NodeClass],
        folders: Folders,
        sockets: Sockets,
        faults: Callable[[], Faults],
        preview_every: int,
    ) -> None:
        self._nodes = nodes
        self._folders = folders
        self._sockets = sockets
        self._faults = faults
        self._preview_every = preview_every
        self._results: dict[bytes, Result] = {}
        self._begun = 0
        self.interrupted = threading.Event()
        self.now: tuple[str | None, str] | None = None
        """Whose prompt and which node is running, for a client that comes back."""

    def forget(self) -> None:
        self._results.clear()

    def run(self, prompt: QueuedPrompt) -> HistoryEntry:
        """Execute one prompt to its end, whatever that is."""
        self._begun += 1
        if self._begun == self._faults().crash_at_prompt:
            os._exit(1)
        self.interrupted.clear()
        client = prompt.extra_data.get("client_id")
        marks = signatures(prompt, self._nodes, self._folders)
        run = Run(prompt, None if client is None else str(client), marks)
        kept = set(marks.values())
        self._results = {key: result for key, result in self._results.items() if key in kept}
        cached = tuple(node for node in prompt.graph if marks.get(node) in self._results)
        self._record(run, wire.ExecutionStart(wire.PromptBody(run.id, _now())))
        body = wire.CachedBody(nodes=cached, prompt_id=run.id, timestamp=_now())
        self._record(run, wire.ExecutionCached(body))
        succeeded = all(self._step(run, node) for node in order(prompt, marks, self._nodes, set(cached)))
        if succeeded:
            self._record(run, wire.ExecutionSuccess(wire.PromptBody(run.id, _now())))
        self.now = None
        return _entry(run, succeeded)

    def _step(self, run: Run, node: str) -> bool:
        """Execute one node. Returns whether the prompt goes on."""
        known = self._results.get(run.signatures[node])
        if known is not None:
            self._show(run, node, known)
            self._state(run, node, 1, 1, "finished")
            return True
        self._state(run, node, 0.0, 1.0, "running")
        self.now = (run.client, node)
        executing = wire.ExecutingBody(node=node, display_node=node, prompt_id=run.id)
        self._tell_client(run, wire.Executing(executing))
        node_class = self._nodes[run.prompt.graph[node]["class_type"]]
        inputs: dict[str, Any] = {}
        try:
            inputs = self._inputs(run, node, node_class)
            result = self._execute(run, node, node_class, inputs)
        except InterruptedRunError:
            self._interrupted(run, node, node_class)
            return False
        except Exception as error:  # nodes fail as they like; the prompt ends with what they said
            self._failed(run, node, node_class, inputs, error)
            return False
        self._results[run.signatures[node]] = result
        run.executed.append(node)
        self._show(run, node, result)
        state = run.states[node]
        self._state(run, node, state.max, state.max, "finished")
        return True

    def _inputs(self, run: Run, node: str, node_class: NodeClass) -> dict[str, Any]:
        given = run.prompt.graph[node]["inputs"]
        inputs = {}
        for name in (*node_class.required, *node_class.optional):
            if name in given:
                value = given[name]
                linked = is_link(value)
                inputs[name] = self._results[run.signatures[value[0]]].values[value[1]] if linked else value
        return inputs

    def _execute(self, run: Run, node: str, node_class: NodeClass, inputs: dict[str, Any]) -> Result:
        faults = self._faults()
        call = RunningCall(self, run, node, self._folders, self._preview_every)
        call.check()
        if faults.crash_at_node == node_class.name:
            os._exit(1)
        if faults.node_time_s and (not faults.slow_nodes or node_class.name in faults.slow_nodes):
            call.pause(faults.node_time_s)
        if faults.out_of_memory_at == node_class.name:
            raise OutOfMemoryError("Allocation on device ")
        return node_class.run(call, inputs)

    def _show(self, run: Run, node: str, result: Result) -> None:
        if result.shown is not None:
            run.outputs[node] = result.shown
            body = wire.ExecutedBody(node=node, display_node=node, output=result.shown, prompt_id=run.id)
            self._tell_client(run, wire.Executed(body))

    def _state(self, run: Run, node: str, value: float, of: float, state: str) -> None:
        run.states[node] = NodeState(
            value=value,
            max=of,
            state=state,
            node_id=node,
            prompt_id=run.id,
            display_node_id=node,
            real_node_id=node,
        )
        self._sockets.tell(
            wire.ProgressState(wire.ProgressStateBody(prompt_id=run.id, nodes=run.states)), run.client
        )

    def _failed(
        self, run: Run, node: str, node_class: NodeClass, inputs: dict[str, Any], error: Exception
    ) -> None:
        plain = (str, int, float, bool, type(None))
        body = wire.ErrorBody(
            prompt_id=run.id,
            node_id=node,
            node_type=node_class.name,
            executed=tuple(run.executed),
            exception_message=f"{error}\n{MEMORY_ADVICE if isinstance(error, OutOfMemoryError) else ''}",
            exception_type=_type_name(error),
            traceback=tuple(traceback.format_tb(error.__traceback__)),
            current_inputs={
                name: [value if isinstance(value, plain) else str(value)] for name, value in inputs.items()
            },
            current_outputs=tuple(run.prompt.graph),
            timestamp=_now(),
        )
        self._record(run, wire.ExecutionError(body))

    def _interrupted(self, run: Run, node: str, node_class: NodeClass) -> None:
        body = wire.InterruptedBody(
            prompt_id=run.id,
            node_id=node,
            node_type=node_class.name,
            executed=tuple(run.executed),
            timestamp=_now(),
        )
        run.messages.append(("execution_interrupted", to_builtins(body)))
        self._sockets.tell(
            wire.ExecutionInterrupted(body), run.client
        )  # to everybody where there is no client

    def _record(
        self,
        run: Run,
        message: wire.ExecutionStart | wire.ExecutionCached | wire.ExecutionSuccess | wire.ExecutionError,
    ) -> None:
        run.messages.append((str(message.__struct_config__.tag), to_builtins(message.body)))
        self._tell_client(run, message)

    def _tell_client(self, run: Run, message: wire.Message) -> None:
        """Only to whom it belongs; without a client, to nobody."""
        if run.client is not None:
            self._sockets.tell(message, run.client)

    # what a running node reports

    def progress(self, run: Run, node: str, value: int, of: int, image: Callable[[], bytes] | None) -> None:
        self._state(run, node, value, of, "running")
        self._preview(run, node, image, metadata=True)
        self._sockets.tell(
            wire.Progress(wire.ProgressBody(value=value, max=of, prompt_id=run.id, node=node)), run.client
        )
        self._preview(run, node, image, metadata=False)

    def _preview(self, run: Run, node: str, image: Callable[[], bytes] | None, metadata: bool) -> None:
        if image is not None and self._sockets.wants_preview(run.client, metadata):
            self._sockets.preview(image(), _about(run, node), run.client, metadata)

    def text(self, run: Run, frame: bytes) -> None:
        self._sockets.text(frame, run.client)


def _about(run: Run, node: str) -> PreviewMetadata:
    return PreviewMetadata(node_id=node, prompt_id=run.id, display_node_id=node, real_node_id=node)


def _now() -> int:
    return int(time.time() * 1000)


def _type_name(error: Exception) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _entry(run: Run, succeeded: bool) -> HistoryEntry:
    return HistoryEntry(
        prompt=run.prompt,
        outputs=run.outputs,
        status=HistoryStatus(
            status_str="success" if succeeded else "error", completed=succeeded, messages=tuple(run.messages)
        ),
        meta={node: NodeMeta(node_id=node, display_node=node, real_node_id=node) for node in run.outputs},
    )
