"""A ComfyUI as the executor sees it: prompts by attempt id, signals as they come, and a look when asked."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import httpx

from adapters.comfyui import stock
from adapters.comfyui.client import Address, Client
from adapters.comfyui.socket import Resolve, Socket
from adapters.comfyui.trace import Trace, ended
from adapters.comfyui.translate import node_failure
from domain.ids import AttemptId
from services.ports.backend import (
    Advanced,
    BackendFile,
    BackendSight,
    BackendUnavailableError,
    Began,
    Broken,
    Ended,
    Ending,
    GraphRefusedError,
    Interrupted,
    Place,
    Previewed,
    PromptUncertainError,
    Signal,
    StockTaken,
    Told,
    Unsettled,
)
from workflows.protocol import messages as told
from workflows.protocol.frames import Preview, decode_frame
from workflows.protocol.history import OutputFile
from workflows.protocol.prompt import PromptRequest

ADVANCE_S = 0.1  # between two signals of progress; ComfyUI repeats all nodes with every step
PROGRESS_STATE = ('{"type": "progress_state"', '{"type":"progress_state"')


class ComfyUIBackend:
    """Implements BackendLink. A submitted attempt is heard of until it has ended or is forgotten."""

    def __init__(
        self,
        name: str,
        address: Address,
        transport: httpx.AsyncBaseTransport,
        resolve: Resolve | None = None,
    ) -> None:
        """`resolve`: who looks the host's name up for the socket, as the transport has it looked up for the rest."""
        self._name = name
        self._client = Client(address, transport)
        self._socket = Socket(address, self._receive, self._line_closed, resolve)
        self._traces: dict[str, Trace] = {}
        self._hear: Callable[[Signal], None] = lambda signal: None
        self._latest_states: str | None = None
        self._advance: asyncio.TimerHandle | None = None
        self._seen = stock.Seen()

    @property
    def name(self) -> str:
        return self._name

    @property
    def line(self) -> str:
        return self._socket.client_id

    def resume(self, line: str) -> None:
        self._socket.client_id = line

    async def listen(self, hear: Callable[[Signal], None]) -> None:
        self._hear = hear
        try:
            await self._socket.run()
        finally:
            if self._advance is not None:
                self._advance.cancel()

    async def sight(self) -> BackendSight:
        stats = await self._client.stats()
        if not stats.system.comfyui_version and not stats.devices:
            raise BackendUnavailableError("There is a server, but it is no ComfyUI.")
        device = stats.devices[0].name if stats.devices else ""
        return BackendSight(version=stats.system.comfyui_version, device=device)

    async def inventory(self) -> StockTaken:
        return await stock.inventory(self._client, self._seen)

    async def submit(
        self, attempt: AttemptId, graph: dict[str, Any], extra: dict[str, Any] | None = None
    ) -> str:
        await self._socket.tried()
        self._traces[str(attempt)] = Trace(_classes(graph), self._socket.line, asked=extra is not None)
        self._socket.expect_status()
        try:
            await self._client.submit(
                PromptRequest(
                    prompt=graph,
                    client_id=self._socket.client_id,
                    prompt_id=str(attempt),
                    extra_data=extra or {},
                )
            )
        except (BackendUnavailableError, GraphRefusedError, PromptUncertainError):
            self._socket.expect_nothing()  # perhaps it is not queued: silence proves nothing then
            raise
        return ""

    async def upload(self, name: str, body: bytes, media_type: str) -> str:
        return await self._client.upload(name, body, media_type)

    def follow(self, attempt: AttemptId, graph: dict[str, Any], called: str) -> None:
        """Its end is learnt from the history: what was told before is not known."""
        self._traces[str(attempt)] = Trace(_classes(graph), None)

    def forget(self, attempt: AttemptId) -> None:
        self._traces.pop(str(attempt), None)

    async def look(self, attempts: Sequence[AttemptId]) -> Sequence[Place | Ending]:
        queue = (
            await self._client.queue()
        )  # before the history: a prompt leaves one and enters the other at once
        waiting = {prompt.prompt_id for prompt in queue.queue_pending}
        running = {prompt.prompt_id for prompt in queue.queue_running}
        places: list[Place | Ending] = []
        for attempt in map(str, attempts):
            if attempt in running:
                places.append(Place.RUNNING)
            elif attempt in waiting:
                places.append(Place.WAITING)
            else:
                result = await self._client.history(attempt)
                trace = self._traces.get(attempt)
                spent = trace.spent() if trace else ()
                places.append(Place.NOWHERE if result is None else ended(result, spent))
        return places

    async def stop(self, attempt: AttemptId) -> None:
        await self._client.delete(str(attempt))
        await self._client.interrupt(str(attempt))

    async def fetch(self, file: BackendFile, limit_bytes: int) -> bytes:
        return await self._client.view(OutputFile(file.filename, file.subfolder, file.type), limit_bytes)

    def _line_closed(self) -> bool:
        self._hear(Unsettled())
        return bool(self._traces)

    def _receive(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._receive_frame(message)
        elif message.startswith(PROGRESS_STATE):
            self._latest_states = message
            if self._advance is None:
                self._advance = asyncio.get_running_loop().call_later(ADVANCE_S, self._tell_progress)
        else:
            self._receive_message(told.decode_message(message))

    def _receive_frame(self, frame: bytes) -> None:
        preview = decode_frame(frame)
        if not isinstance(preview, Preview) or preview.metadata is None:
            return
        if preview.metadata.prompt_id in self._traces:
            attempt = AttemptId(UUID(preview.metadata.prompt_id))
            node = preview.metadata.node_id
            self._hear(
                Previewed(attempt=attempt, image=preview.image, media_type=preview.media_type, node=node)
            )

    def _receive_message(self, message: told.Message | told.Unknown) -> None:
        match message:
            case told.Status():
                self._socket.expect_nothing()
            case told.ExecutionStart(body=body):
                if trace := self._traces.get(body.prompt_id):
                    trace.began_ms = body.timestamp
                    self._hear(Began(AttemptId(UUID(body.prompt_id))))
            case told.ExecutionCached(body=body):
                if trace := self._traces.get(body.prompt_id):
                    trace.cached = body.nodes
                    self._pass_on(trace, body.prompt_id, message)
            case told.Executing():
                self._entered(message)
            case told.Executed(body=body):
                if trace := self._traces.get(body.prompt_id):
                    trace.executed(body.node, body.display_node, body.output or {})
                    self._pass_on(trace, body.prompt_id, message, trace.made_by(body.node))
            case told.ExecutionSuccess(body=body):
                self._succeeded(body)
            case told.ExecutionError(body=body):
                self._broken(body)
            case told.ExecutionInterrupted(body=body):
                self._end(body.prompt_id, Interrupted())
            case told.ProgressState():
                self._advanced(message)
            case told.Progress() | told.FeatureFlags() | told.Unknown():
                pass  # `progress_state` says more than `progress`; custom nodes send what they like

    def _entered(self, message: told.Executing) -> None:
        body = message.body
        trace = self._traces.get(body.prompt_id or "")
        if trace is None:
            return
        if body.node is None:
            self._hear(Unsettled())  # over, and its end was not understood: the history has it from here on
        else:
            trace.enter(body.display_node or body.node, asyncio.get_running_loop().time(), body.node)
            self._pass_on(trace, body.prompt_id or "", message)

    def _succeeded(self, body: told.PromptBody) -> None:
        """Heard from the first message to this one, nothing is left to ask the history for."""
        trace = self._traces.get(body.prompt_id)
        if trace is None:
            return
        trace.enter(None, asyncio.get_running_loop().time())
        if trace.line is not None and trace.line is self._socket.line and trace.began_ms is not None:
            self._end(body.prompt_id, trace.finished(body.timestamp))
        else:
            self._hear(Unsettled())

    def _broken(self, body: told.ErrorBody) -> None:
        if trace := self._traces.get(body.prompt_id):
            trace.enter(None, asyncio.get_running_loop().time())
            failure = node_failure(body)
            self._end(body.prompt_id, Broken(failure=failure, nodes=trace.spent(), course=trace.course()))

    def _end(self, prompt_id: str, ending: Ending) -> None:
        if self._traces.pop(prompt_id, None) is not None:
            self._hear(Ended(attempt=AttemptId(UUID(prompt_id)), ending=ending))

    def _pass_on(
        self, trace: Trace, prompt_id: str, message: told.Message, files: tuple[BackendFile, ...] = ()
    ) -> None:
        """What was said before is told before."""
        if trace.asked:
            self._tell_progress()
            self._hear(Told(AttemptId(UUID(prompt_id)), message, files))

    def _tell_progress(self) -> None:
        if self._advance is not None:
            self._advance.cancel()
            self._advance = None
        if self._latest_states is not None:
            latest, self._latest_states = self._latest_states, None
            self._receive_message(told.decode_message(latest))

    def _advanced(self, message: told.ProgressState) -> None:
        body = message.body
        trace = self._traces.get(body.prompt_id)
        if trace is None:
            return
        trace.states = body.nodes
        if trace.asked:
            self._hear(Told(AttemptId(UUID(body.prompt_id)), message))
        running = [state for state in body.nodes.values() if state.state == "running"]
        node = (running[-1].display_node_id or running[-1].node_id) if running else trace.node
        self._hear(
            Advanced(
                attempt=AttemptId(UUID(body.prompt_id)),
                percent=trace.percent(),
                node=node,
                node_class=trace.classes.get(node or ""),
                value=float(running[-1].value) if running else 0.0,
                max=float(running[-1].max) if running else 0.0,
            )
        )


def _classes(graph: dict[str, Any]) -> dict[str, str]:
    return {
        node: str(description.get("class_type", "")) if isinstance(description, dict) else ""
        for node, description in graph.items()
    }
