"""An executor: claims runs for its backends, has them executed, brings the outputs home and reports.

It may be killed at any moment: its spool, the backends and dispatch's list of open attempts say how to go on.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from domain.ids import AttemptId
from services.execution.attempt import Attempt, Revoked
from services.execution.beating import Beater
from services.execution.driving import Connect, Fleet
from services.execution.failures import UNKNOWN_BACKEND
from services.execution.finishing import Finisher
from services.execution.holding import Holding
from services.execution.lane import Lane
from services.execution.loras import LoraCache, LoraCaches
from services.execution.needs import Needs
from services.execution.outputs import Copier
from services.execution.pauses import pauses
from services.execution.progress import ProgressPump
from services.execution.reporting import Reporter
from services.execution.settings import ExecutorSettings
from services.execution.submitting import called
from services.execution.trying import Trying
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
from services.ports.messages import Beat, HeldAttempt, Lost, OpenRequest
from services.ports.model_files import ModelFolder

logger = logging.getLogger(__name__)

STOPPING = "The executor was told to stop."


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
        connect: Connect | None = None,
        folders: Mapping[str, ModelFolder] | None = None,
    ) -> None:
        """`folders`: the models folders of those backends where we see them; the others take no LoRAs."""
        self._name = name
        self._connect = connect
        self._link = link
        self._spool = spool
        self._settings = settings
        self._loras = LoraCaches(
            {
                backend: LoraCache(folder, objects, settings, settings.lora_limit_bytes)
                for backend, folder in (folders or {}).items()
            }
        )
        self._holding = Holding(spool, self._loras.release)
        self._progress = ProgressPump(link, settings)
        reporter = Reporter(name, link, settings, self._refused)
        copier = Copier(objects, imaging, spool, settings)
        self._finisher = Finisher(copier, reporter, spool, self._holding, self._progress, settings)
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
            loras=self._loras,
        )
        self._fleet = Fleet(
            self._needs,
            backends,
            connect,
            changed=self._health_changed,
            claim_uncertain=self._reconcile_soon,
        )
        self._beater = Beater(name, link, settings, self._holding, self._fleet, self._revoke)
        self._reconcile = asyncio.Event()
        self._clearing: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop. Then nothing new is taken, what has not begun is left to others, what runs may end."""
        self._link.on_wake(self._wake)
        self._link.on_cancel(self._revoke)
        if self._connect is not None:
            trials = Trying(self._name, self._link, self._connect)
            self._link.on_try(lambda trial: trials.begin(trial, self._clearing))
        self._fleet.resume_lines()
        self._fleet.listen()
        stopping = asyncio.create_task(stop.wait())
        opening = asyncio.create_task(self._open())
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self._fleet.failed()), opening]
        try:
            await asyncio.wait([stopping, opening], return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                opening.result()
                tasks = [*tasks[:1], *self._begin()]
                await self._until_stopped(stopping, tasks)
                await self._fleet.drain(self._settings.drain_s, STOPPING)
        finally:
            await self._fleet.end()
            tasks += [stopping, opening, *self._clearing]
            await self._finisher.drain(self._settings.farewell_s)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> list[asyncio.Task[Any]]:
        self._fleet.begin()
        return [
            self._spawn(part)
            for part in (self._beater.run(), self._progress.run(), self._reconcile_when_asked())
        ]

    async def _until_stopped(self, stopping: asyncio.Task[Any], tasks: Sequence[asyncio.Task[Any]]) -> None:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # none of them ends by itself: this raises what ended it

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(work)

    # what is open

    async def _open(self) -> None:
        """Take up what was in hand before, and clear away what is no longer ours."""
        left = self._spool.entries()
        if self._fleet.willing:
            await self._learn_orders()
        await self._adopt_open()
        held = {attempt.id for attempt in self._holding.all()}
        self._loras.keep(held)
        for attempt, entries in left.items():
            if attempt not in held:
                self._clear_away(attempt, entries)

    async def _learn_orders(self) -> None:
        """Which backends are ours to drive: what was in hand before may be there."""
        first = Beat(executor=self._name, attempts=(), backends=(), drives=True)
        for pause_s in pauses(self._settings.retry_s):
            try:
                answer = await self._link.beat(first)
            except DispatchUnavailableError:
                await asyncio.sleep(pause_s)
            else:
                self._fleet.obey(answer.backends or ())
                return

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
            lane = self._fleet.lane(assignment.backend)
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
        lane = self._fleet.lane(submitted.backend) if submitted else None
        if lane is None:
            self._spool.forget(attempt)
            return
        lane.link.follow(attempt, {}, called(entries))
        lane.link.forget(attempt)
        self._clearing.add(task := self._spawn(self._stop_and_forget(lane, attempt)))
        task.add_done_callback(self._clearing.discard)

    async def _stop_and_forget(self, lane: Lane, attempt: AttemptId) -> None:
        await lane.stop(attempt)
        self._spool.forget(attempt)

    # what the others call

    def _wake(self) -> None:
        self._fleet.wake()

    def _health_changed(self) -> None:
        for driven in self._fleet.values():
            driven.lane.stock.look_again()  # it may have been restarted with other nodes
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
