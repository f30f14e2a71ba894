"""Looking at a backend beside its signals, and giving up what takes too long. Neither waits for the other."""

import asyncio
from collections.abc import Collection

from services.execution.attempt import Attempt
from services.execution.failures import FORGOTTEN, LOST, UNREACHABLE, silent, too_long
from services.execution.health import Health
from services.execution.pauses import FIRST_PAUSE_S, woken
from services.execution.reporting import Reporter
from services.execution.settings import ExecutorSettings
from services.ports.backend import BackendLink, BackendUnavailableError, Broken, Ending, Place

ABSENCES = 2  # in a row: the queue and the history are two questions


class Watch:
    """`followed`: the attempts that are in the backend, or on their way into it."""

    def __init__(
        self,
        link: BackendLink,
        health: Health,
        reporter: Reporter,
        settings: ExecutorSettings,
        followed: Collection[Attempt],
    ) -> None:
        self._link = link
        self._health = health
        self._reporter = reporter
        self._settings = settings
        self._followed = followed
        self._unsettled = asyncio.Event()

    def look_now(self) -> None:
        self._unsettled.set()

    async def look(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        pause_s = self._settings.look_s
        away_since: float | None = None
        while True:
            if await woken(self._unsettled, pause_s):
                pause_s = FIRST_PAUSE_S
            attempts = [attempt for attempt in self._followed if attempt.submitted and not attempt.over]
            if not attempts:
                pause_s = self._settings.look_s
                continue
            asked_at = loop.time()
            try:
                places = await self._link.look([attempt.id for attempt in attempts])
            except BackendUnavailableError:
                away_since = away_since or asked_at  # who hangs without dying lets half a minute go by
                self._health.suspect()
                if loop.time() - away_since > self._settings.backend_patience_s:
                    for attempt in attempts:
                        self._give_up(attempt, Broken(failure=UNREACHABLE))
            else:
                away_since = None
                for attempt, place in zip(attempts, places, strict=True):
                    self._learn(attempt, place)
            missed = any(attempt.absences and not attempt.over for attempt in attempts)
            pause_s = FIRST_PAUSE_S if missed else min(2 * pause_s, self._settings.look_s)

    def _learn(self, attempt: Attempt, place: Place | Ending) -> None:
        match place:
            case Place.WAITING:
                attempt.absences = 0
            case Place.RUNNING:
                attempt.absences = 0
                if attempt.began_at is None:
                    attempt.hears_all = False
                    self._reporter.begin(attempt, asyncio.get_running_loop().time())
            case Place.NOWHERE:
                attempt.absences += 1
                if attempt.absences >= ABSENCES:
                    attempt.settle(Broken(failure=LOST if attempt.adopted else FORGOTTEN))
            case _:
                attempt.settle(place)

    async def time(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        tick_s = min(0.25, self._settings.silence_s / 4)
        while True:
            await asyncio.sleep(tick_s)
            for attempt in self._followed:
                if not attempt.over:
                    self._judge(attempt, loop.time())

    def _judge(self, attempt: Attempt, now: float) -> None:
        if attempt.began_at is None:
            return
        limit_s, silence_s = attempt.assignment.timeout_s, self._settings.silence_s
        if now - attempt.began_at > limit_s:
            self._give_up(attempt, Broken(failure=too_long(limit_s, attempt.node, attempt.node_class)))
        elif attempt.hears_all and attempt.heard_at is not None and now - attempt.heard_at > silence_s:
            self._give_up(attempt, Broken(failure=silent(silence_s, attempt.node, attempt.node_class)))

    def _give_up(self, attempt: Attempt, verdict: Broken) -> None:
        attempt.must_stop = True
        attempt.settle(verdict)
