"""An executor: claims runs for its backends, has them executed, brings the outputs home and reports.

It may be killed at any moment: its spool, the backends and dispatch's list of open attempts say how to go on.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from domain.ids import AttemptId
from services.execution.attempt import Attempt, Revoked
from services.execution.beating import Beater
from services.execution.failures import UNKNOWN_BACKEND
from services.execution.finishing import Finisher
from services.execution.health import Health
from services.execution.holding import Holding
from services.execution.lane import Lane
from services.execution.needs import Needs
from services.execution.outputs import Copier
from services.execution.pauses import pauses
from services.execution.progress import ProgressPump
from services.execution.reporting import Reporter
from services.execution.settings import ExecutorSettings
from services.execution.stopping import stop
from services.ports.backend import BackendLink
from services.ports.executing import (
    ClaimObjects,
    DispatchLink,
    DispatchUnavailableError,
    Imaging,
    Spool,
    SpoolEntry,
    Submitting,
)
from services.ports.messages import HeldAttempt, Lost, OpenRequest

logger = logging.getLogger(__name__)


class Executor:
    def __init__(
        self,
        *,
        name: str,
        backends: Sequence[BackendLink],
        link: DispatchLink,
        objects: ClaimObjects,
        imaging: Imaging,
        spool: Spool,
        settings: ExecutorSettings = ExecutorSettings(),
    ) -> None:
        self._name = name
        self._link = link
        self._spool = spool
        self._settings = settings
        self._holding = Holding(spool)
        self._progress = ProgressPump(link, settings)
        reporter = Reporter(name, link, settings, self._refused)
        copier = Copier(objects, imaging, spool, settings)
        self._finisher = Finisher(copier, reporter, spool, self._holding, settings)
        self._needs = Needs(
            name=name,
            link=link,
            objects=objects,
            spool=spool,
            settings=settings,
            holding=self._holding,
            reporter=reporter,
            finisher=self._finisher,
            progress=self._progress,
        )
        self._healths = {line.name: Health(name, line, settings, self._health_changed) for line in backends}
        self._lanes = {
            line.name: Lane(line, self._healths[line.name], self._needs, self._reconcile_soon)
            for line in backends
        }
        self._beater = Beater(name, link, settings, self._holding, self._healths, self._revoke)
        self._reconcile = asyncio.Event()
        self._clearing: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop: then what is in hand is reported, and what runs is left for the next start."""
        self._link.on_wake(self._wake)
        self._link.on_cancel(self._revoke)
        self._resume_lines()
        early = [self._spawn(self._health_and_signals(lane)) for lane in self._lanes.values()]
        stopping = asyncio.create_task(stop.wait())
        opening = asyncio.create_task(self._open())
        tasks: list[asyncio.Task[Any]] = [*early, opening]
        try:
            await asyncio.wait([stopping, opening], return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                opening.result()
                tasks = [*early, *self._begin()]
                await self._until_stopped(stopping, tasks)
        finally:
            tasks += [stopping, opening, *self._clearing]
            for task in tasks:
                task.cancel()
            await self._finisher.drain(self._settings.farewell_s)
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> list[asyncio.Task[Any]]:
        parts: list[Coroutine[Any, Any, None]] = [
            self._beater.run(),
            self._progress.run(),
            self._reconcile_when_asked(),
        ]
        for lane in self._lanes.values():
            parts += [lane.run() for _ in range(self._settings.slots)]
            parts += [lane.watch.look(), lane.watch.time()]
        return [self._spawn(part) for part in parts]

    async def _until_stopped(self, stopping: asyncio.Task[Any], tasks: Sequence[asyncio.Task[Any]]) -> None:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # none of them ends by itself: this raises what ended it

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(work)

    async def _health_and_signals(self, lane: Lane) -> None:
        await asyncio.gather(lane.health.run(), lane.link.listen(lane.hear))

    # what is open

    def _resume_lines(self) -> None:
        """What an earlier process submitted is told to the name it had: the last one's, if it had several."""
        for entries in self._spool.entries().values():
            for entry in entries:
                if isinstance(entry, Submitting) and entry.line and entry.backend in self._lanes:
                    self._lanes[entry.backend].link.resume(entry.line)

    async def _open(self) -> None:
        """Take up what was in hand before, and clear away what is no longer ours."""
        left = self._spool.entries()
        await self._adopt_open()
        held = {attempt.id for attempt in self._holding.all()}
        for attempt, entries in left.items():
            if attempt not in held:
                self._clear_away(attempt, entries)

    async def _adopt_open(self) -> None:
        for pause_s in pauses(self._settings.retry_s):
            try:
                assignments = await self._link.open(OpenRequest(executor=self._name))
                break
            except DispatchUnavailableError:
                await asyncio.sleep(pause_s)
        for assignment in assignments:
            attempt = self._holding.take(assignment, adopted=True)
            if attempt is None:
                continue
            lane = self._lanes.get(assignment.backend)
            if lane is not None:
                lane.adopt(attempt)
            else:
                self._holding.gone_from_backend(attempt)
                await self._finisher.resume(attempt, (Lost(failure=UNKNOWN_BACKEND),))

    def _reconcile_soon(self) -> None:
        self._reconcile.set()

    async def _reconcile_when_asked(self) -> None:
        """A claim that was granted without our hearing of it is found among the open attempts."""
        while True:
            await self._reconcile.wait()
            self._reconcile.clear()
            await self._adopt_open()
            await asyncio.sleep(self._settings.retry_s)

    def _clear_away(self, attempt: AttemptId, entries: Sequence[SpoolEntry]) -> None:
        """An attempt of an earlier process that is ours no more: it must not go on in the backend."""
        submitted = next((entry for entry in entries if isinstance(entry, Submitting)), None)
        lane = self._lanes.get(submitted.backend) if submitted else None
        if lane is None:
            self._spool.forget(attempt)
            return
        self._clearing.add(task := self._spawn(self._stop_and_forget(lane, attempt)))
        task.add_done_callback(self._clearing.discard)

    async def _stop_and_forget(self, lane: Lane, attempt: AttemptId) -> None:
        await stop(lane.link, attempt, lane.health, self._settings)
        self._spool.forget(attempt)

    # what the others call

    def _wake(self) -> None:
        for lane in self._lanes.values():
            lane.wake()

    def _health_changed(self) -> None:
        self._beater.beat_now()
        self._wake()

    def _revoke(self, held: HeldAttempt) -> None:
        attempt = self._holding.find(held)
        if attempt is None:
            return
        if attempt.over:
            self._finisher.abandon(attempt)
        else:
            attempt.settle(Revoked())

    def _refused(self, attempt: Attempt) -> None:
        self._revoke(attempt.held)
