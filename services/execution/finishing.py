"""From the end of an attempt to dispatch's acknowledgement, beside whatever the backend does next."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from services.execution.attempt import Attempt, OutputsLostError
from services.execution.failures import FAULT, INTERRUPTED
from services.execution.holding import Holding
from services.execution.noting import noted
from services.execution.outputs import Copier
from services.execution.progress import ProgressPump
from services.execution.reporting import Reporter
from services.execution.settings import ExecutorSettings
from services.ports.backend import BackendFile, BackendLink, Broken, Ending, Finished, Interrupted
from services.ports.executing import EndedAs, Settled, Spool, SpoolFullError
from services.ports.messages import Fact, Lost, Started, Stopped, Succeeded

logger = logging.getLogger(__name__)


class Finisher:
    """So many at a time: when they are all busy, the backends wait."""

    def __init__(
        self,
        copier: Copier,
        reporter: Reporter,
        spool: Spool,
        holding: Holding,
        progress: ProgressPump,
        settings: ExecutorSettings,
    ) -> None:
        self._copier = copier
        self._progress = progress
        self._reporter = reporter
        self._spool = spool
        self._holding = holding
        self._places = asyncio.Semaphore(settings.finishing)
        self._ahead_s = settings.ahead_s
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, attempt: Attempt, link: BackendLink, ending: Ending) -> None:
        """Returns when there is a place for it."""
        known = any(isinstance(entry, EndedAs) for entry in attempt.entries)
        if isinstance(ending, Finished) and not known:
            noted(self._spool, attempt.id, EndedAs(ending=ending))
        await self._start(attempt, self._finish(attempt, link, ending))

    def begin_ahead(self, attempt: Attempt, link: BackendLink, files: Sequence[BackendFile]) -> None:
        """A node has made files, and others go on: somebody watches, and is shown these without waiting for the end."""
        task = asyncio.create_task(self._ahead(attempt, link, files))
        attempt.ahead.add(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def resume(self, attempt: Attempt, facts: Sequence[Fact]) -> None:
        """Say again what was settled before the executor restarted."""
        await self._start(attempt, self._report(attempt, facts))

    def abandon(self, attempt: Attempt) -> None:
        """Dispatch does not want it any more. Of a prompt that was cancelled it wants to know how far it had come."""
        for task in (*attempt.ahead, attempt.finishing):
            if task is not None:
                task.cancel()
        self._holding.reported(attempt)
        if attempt.course.executed:
            task = asyncio.create_task(self._reporter.report(attempt, (Stopped(course=attempt.course),)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ahead(self, attempt: Attempt, link: BackendLink, files: Sequence[BackendFile]) -> None:
        await asyncio.wait((attempt.verdict,), timeout=self._ahead_s)
        if attempt.over:
            return
        try:
            await self._reporter.report_some(attempt, await self._copier.copy_ahead(attempt, link, files))
        except (OutputsLostError, SpoolFullError) as error:  # it is tried again when the attempt has ended
            logger.info("not ahead", extra={"run": str(attempt.held.run), "reason": str(error)})

    async def drain(self, timeout_s: float) -> None:
        """Let what is in hand come to an end, for some time; the spool has the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start(self, attempt: Attempt, work: Coroutine[Any, Any, None]) -> None:
        try:
            await self._places.acquire()
        except BaseException:
            work.close()  # else it is said to be forgotten, whenever the collector finds it
            raise
        attempt.finishing = asyncio.create_task(self._guarded(attempt, work))
        self._tasks.add(attempt.finishing)
        attempt.finishing.add_done_callback(self._done)
        attempt.finishing.add_done_callback(lambda _: work.close())  # cancelled before its first step

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._places.release()

    async def _guarded(self, attempt: Attempt, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:  # the outermost frame of this attempt: the others go on
            logger.exception("attempt not finished", extra={"run": str(attempt.held.run)})
            await self._report(attempt, (Lost(failure=FAULT),))

    async def _finish(self, attempt: Attempt, link: BackendLink, ending: Ending) -> None:
        if attempt.assignment.prompted:
            await self._progress.told_all(attempt)
            await asyncio.gather(*attempt.ahead, return_exceptions=True)
        facts = await self._facts(attempt, link, ending)
        noted(self._spool, attempt.id, Settled(facts=facts))
        await self._report(attempt, facts)

    async def _report(self, attempt: Attempt, facts: Sequence[Fact]) -> None:
        await self._reporter.report(attempt, facts)
        self._holding.reported(attempt)

    async def _facts(self, attempt: Attempt, link: BackendLink, ending: Ending) -> tuple[Fact, ...]:
        match ending:
            case Finished(files=files, execution_s=execution_s, nodes=nodes, course=course):
                course = course if attempt.assignment.prompted else None
                try:
                    stored = await self._copier.copy(attempt, link, files)
                except OutputsLostError as lost:
                    failed = Lost(failure=lost.failure, execution_s=execution_s, nodes=nodes, course=course)
                    return (Started(), failed)
                ended = Succeeded(execution_s=execution_s, nodes=nodes, course=course)
                return (Started(), *stored, ended)
            case Broken(failure=failure, nodes=nodes, course=course):
                course = course if attempt.assignment.prompted else None
                broken = Lost(failure=failure, execution_s=attempt.busy_s, nodes=nodes, course=course)
                return (Started(), broken) if attempt.began_at else (broken,)
            case Interrupted():
                return (Lost(failure=INTERRUPTED, execution_s=attempt.busy_s),)
