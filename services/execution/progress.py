"""How far the runs are, told to whoever watches: the latest only, a few times a second, and it may be lost."""

import asyncio
from contextlib import suppress

from msgspec import Raw

from services.execution.attempt import Attempt
from services.execution.settings import ExecutorSettings
from services.ports.backend import Advanced, Previewed
from services.ports.executing import DispatchLink, DispatchUnavailableError
from services.ports.messages import NodesTold, Progress
from workflows.protocol.messages import ExecutionCached, Message, ProgressState, encode_message

MAX_TOLD = 1_000  # messages of an attempt that wait: whoever listens learns the rest when it ends
MAX_TOLD_BYTES = 256 * 1024  # in one
BEGIN_S = 0.005  # what is said first, all at the same moment, is told at once and together


class ProgressPump:
    """Whoever puts something in never waits; a slow line makes it miss some."""

    def __init__(self, link: DispatchLink, settings: ExecutorSettings) -> None:
        self._link = link
        self._settings = settings
        self._steps: dict[Attempt, Advanced] = {}
        self._previews: dict[Attempt, Previewed] = {}
        self._told: dict[Attempt, list[Message]] = {}
        self._something = asyncio.Event()
        self._begun = asyncio.Event()

    def advance(self, attempt: Attempt, signal: Advanced) -> None:
        self._steps[attempt] = signal
        self._something.set()

    def preview(self, attempt: Attempt, signal: Previewed) -> None:
        self._previews[attempt] = signal
        self._something.set()

    def tell(self, attempt: Attempt, message: Message) -> None:
        """What is said of nodes goes out in order; of their states only the newest waits."""
        waiting = self._told.setdefault(attempt, [])
        if isinstance(message, ProgressState) and waiting and isinstance(waiting[-1], ProgressState):
            waiting.pop()
        if len(waiting) < MAX_TOLD:
            waiting.append(message)
        if isinstance(message, ExecutionCached):
            self._begun.set()
        self._something.set()

    async def told_all(self, attempt: Attempt) -> None:
        """Afterwards nothing that was said of it waits: what follows is its end."""
        with suppress(DispatchUnavailableError):
            await self._send_told(attempt)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        next_preview = 0.0
        while True:
            await self._something.wait()
            if self._begun.is_set():
                await asyncio.sleep(BEGIN_S)
                self._begun.clear()
            self._something.clear()
            try:
                for attempt in tuple(self._told):
                    await self._send_told(attempt)
                await self._send_steps()
                if loop.time() >= next_preview:
                    next_preview = loop.time() + self._settings.preview_s
                    await self._send_previews()
            except DispatchUnavailableError:
                pass  # nobody can watch now
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.advance_s):
                    await self._begun.wait()
            if self._previews:
                self._something.set()

    async def _send_steps(self) -> None:
        steps, self._steps = self._steps, {}
        for attempt, step in steps.items():
            if attempt.over:
                continue
            progress = Progress(
                run=attempt.held.run,
                epoch=attempt.held.epoch,
                percent=round(step.percent, 1),
                node=step.node,
                node_class=step.node_class,
                value=step.value,
                max=step.max,
            )
            await self._link.progress(attempt.assignment.owner, progress)

    async def _send_told(self, attempt: Attempt) -> None:
        messages = [Raw(encode_message(each)) for each in self._told.pop(attempt, ())]
        owner, held = attempt.assignment.owner, attempt.held
        while messages:
            size, count = 0, 0
            while count < len(messages) and (not count or size + len(messages[count]) <= MAX_TOLD_BYTES):
                size += len(messages[count])
                count += 1
            part, messages = messages[:count], messages[count:]
            await self._link.nodes_told(
                owner, NodesTold(run=held.run, epoch=held.epoch, messages=tuple(part))
            )

    async def _send_previews(self) -> None:
        previews, self._previews = self._previews, {}
        for attempt, preview in previews.items():
            if not attempt.over:
                owner, run = attempt.assignment.owner, attempt.held.run
                await self._link.preview(owner, run, preview.image, preview.media_type, preview.node)
