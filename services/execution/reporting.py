"""Telling dispatch what happened to an attempt: in order, again and again until it is answered."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from services.execution.attempt import Attempt
from services.execution.pauses import pauses
from services.execution.settings import ExecutorSettings
from services.ports.executing import DispatchLink, DispatchUnavailableError
from services.ports.messages import Fact, Report, Started

logger = logging.getLogger(__name__)

FACTS = 200  # in one message, far below what NATS carries


class Reporter:
    """`refused` is called for an attempt that dispatch no longer wants to hear of."""

    def __init__(
        self, name: str, link: DispatchLink, settings: ExecutorSettings, refused: Callable[[Attempt], None]
    ) -> None:
        self._name = name
        self._link = link
        self._settings = settings
        self._refused = refused

    def begin(self, attempt: Attempt, now: float) -> None:
        """The backend executes it. Said soon, but not before it is clear that the run does not end at once."""
        attempt.heard_at = now
        if attempt.began_at is not None or attempt.over:
            return
        attempt.began_at = now
        loop = asyncio.get_running_loop()
        attempt.start_timer = loop.call_later(self._settings.started_after_s, self._say_started, attempt)

    def _say_started(self, attempt: Attempt) -> None:
        if not attempt.over:
            attempt.start_report = asyncio.create_task(self._report_started(attempt))

    async def _report_started(self, attempt: Attempt) -> None:
        if not await self._tell(attempt, (Started(),)):
            self._refused(attempt)

    async def report_some(self, attempt: Attempt, facts: Sequence[Fact]) -> None:
        """While it goes on. What is said again at its end is known by then."""
        if not await self._tell(attempt, (Started(), *facts)):
            self._refused(attempt)

    async def report(self, attempt: Attempt, facts: Sequence[Fact]) -> None:
        """Everything that is left to say; returns when dispatch has it, or does not want it."""
        if attempt.start_timer is not None:
            attempt.start_timer.cancel()
        if attempt.start_report is not None:
            await attempt.start_report
            facts = [fact for fact in facts if not isinstance(fact, Started)]
        for first in range(0, len(facts), FACTS):
            if not await self._tell(attempt, tuple(facts[first : first + FACTS])):
                return

    async def _tell(self, attempt: Attempt, facts: tuple[Fact, ...]) -> bool:
        report = Report(run=attempt.held.run, epoch=attempt.held.epoch, facts=facts)
        for pause_s in pauses(self._settings.retry_s):
            try:
                answer = await self._link.report(self._name, report)
            except DispatchUnavailableError:
                await asyncio.sleep(pause_s)
                continue
            if not answer.accepted:
                logger.info("report refused", extra={"run": str(report.run), "reason": answer.reason})
            return answer.accepted
        raise AssertionError("pauses never end")
