"""The executor's heartbeat: what it holds and sees, and what dispatch wants to be different."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from services.execution.driving import Fleet
from services.execution.holding import Holding
from services.execution.pauses import woken
from services.execution.settings import ExecutorSettings
from services.ports.executing import DispatchLink, DispatchUnavailableError
from services.ports.messages import Beat, BeatAnswer, HeldAttempt


class Beater:
    """`revoked` is called for each attempt that is to be stopped."""

    def __init__(
        self,
        name: str,
        link: DispatchLink,
        settings: ExecutorSettings,
        holding: Holding,
        fleet: Fleet,
        revoked: Callable[[HeldAttempt], None],
    ) -> None:
        self._name = name
        self._link = link
        self._settings = settings
        self._holding = holding
        self._fleet = fleet
        self._revoked = revoked
        self._now = asyncio.Event()

    def beat_now(self) -> None:
        self._now.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(DispatchUnavailableError):  # the next one says the same
                self._obey(await self._link.beat(self._beat()))
            await woken(self._now, self._settings.beat_s)

    def _beat(self) -> Beat:
        return Beat(
            executor=self._name,
            attempts=tuple(attempt.held for attempt in self._holding.all()),
            backends=self._fleet.states(),
            drives=self._fleet.willing,
        )

    def _obey(self, answer: BeatAnswer) -> None:
        if answer.backends is not None:
            self._fleet.obey(answer.backends)
        for held in answer.revoked:
            self._revoked(held)
        for attempt in self._holding.all():
            if token := answer.tokens.get(str(attempt.held.run)):
                attempt.renew(token)
