"""The parts of a running sandbox, and the thread that executes prompts."""

import os
import threading
from collections.abc import Callable

from infra.sandbox.engine import Engine
from infra.sandbox.folders import Folders
from infra.sandbox.node import NodeClass
from infra.sandbox.nodes import NODES
from infra.sandbox.queue import PromptQueue
from infra.sandbox.settings import Faults, SandboxSettings
from infra.sandbox.sockets import Sockets
from workflows.protocol import messages as wire
from workflows.protocol.queue import QueueLength, QueueStatus


class Sandbox:
    """Made on the event loop; `faults` may be exchanged at any time."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.faults = settings.faults
        self.nodes: dict[str, NodeClass] = NODES
        self.folders = Folders(settings.directory.absolute(), settings.checkpoints)
        self.sockets = Sockets(self._current_faults)
        self.queue = PromptQueue(self._announce_remaining)
        self.engine = Engine(
            self.nodes, self.folders, self.sockets, self._current_faults, settings.preview_every
        )

    def _current_faults(self) -> Faults:
        return self.faults

    def _announce_remaining(self, remaining: int) -> None:
        self.sockets.tell(_status(remaining), None)

    def greeting(self, sid: str) -> list[wire.Message]:
        """What a client hears first: the queue's length, and the running node where it is its own."""
        greetings: list[wire.Message] = [_status(self.queue.remaining(), sid)]
        now = self.engine.now
        if now is not None and now[0] == sid:
            greetings.append(wire.Executing(wire.ExecutingBody(node=now[1])))
        return greetings

    def start_worker(self) -> None:
        """One thread, one prompt at a time. It ends with the process."""
        threading.Thread(target=self._work, name="prompts", daemon=True).start()

    def _work(self) -> None:
        pause: Callable[[float], object] = threading.Event().wait
        while True:
            prompt = self.queue.take()
            if prompt is None:
                if self.queue.to_free():
                    self.engine.forget()
                continue
            entry = self.engine.run(prompt)
            if self.faults.crash_before_history:
                os._exit(1)
            if self.faults.history_delay_s:
                pause(self.faults.history_delay_s)
            self.queue.done(entry)
            client = prompt.extra_data.get("client_id")
            if client is not None:
                ended = wire.ExecutingBody(node=None, prompt_id=prompt.prompt_id)
                self.sockets.tell(wire.Executing(ended), str(client))


def _status(remaining: int, sid: str | None = None) -> wire.Status:
    return wire.Status(wire.StatusBody(QueueStatus(QueueLength(remaining)), sid))
