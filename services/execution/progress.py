"""How far the runs are, told to whoever watches: the latest only, a few times a second, and it may be lost."""

import asyncio

from services.execution.attempt import Attempt
from services.execution.settings import ExecutorSettings
from services.ports.backend import Advanced, Previewed
from services.ports.executing import DispatchLink, DispatchUnavailableError
from services.ports.messages import Progress


class ProgressPump:
    """Whoever puts something in never waits; a slow line makes it miss some."""

    def __init__(self, link: DispatchLink, settings: ExecutorSettings) -> None:
        self._link = link
        self._settings = settings
        self._steps: dict[Attempt, Advanced] = {}
        self._previews: dict[Attempt, Previewed] = {}
        self._something = asyncio.Event()

    def advance(self, attempt: Attempt, signal: Advanced) -> None:
        self._steps[attempt] = signal
        self._something.set()

    def preview(self, attempt: Attempt, signal: Previewed) -> None:
        self._previews[attempt] = signal
        self._something.set()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        next_preview = 0.0
        while True:
            await self._something.wait()
            self._something.clear()
            try:
                await self._send_steps()
                if loop.time() >= next_preview:
                    next_preview = loop.time() + self._settings.preview_s
                    await self._send_previews()
            except DispatchUnavailableError:
                pass  # nobody can watch now
            await asyncio.sleep(self._settings.advance_s)
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

    async def _send_previews(self) -> None:
        previews, self._previews = self._previews, {}
        for attempt, preview in previews.items():
            if not attempt.over:
                owner, run = attempt.assignment.owner, attempt.held.run
                await self._link.preview(owner, run, preview.image, preview.media_type)
