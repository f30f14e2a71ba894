"""Whether a backend lives: asked from time to time, and at once when something went wrong with it."""

import asyncio
from collections.abc import Callable

from domain.backend import BackendSeen
from services.execution.pauses import pauses, woken
from services.execution.settings import ExecutorSettings
from services.ports.backend import BackendLink, BackendUnavailableError
from services.ports.messages import BackendState


class Health:
    """`changed` is called when the backend appears, disappears, or is trusted again."""

    def __init__(
        self, executor: str, link: BackendLink, settings: ExecutorSettings, changed: Callable[[], None]
    ) -> None:
        self._executor = executor
        self._link = link
        self._settings = settings
        self._changed = changed
        self._check_now = asyncio.Event()
        self.alive = asyncio.Event()
        self.state = BackendState(name=link.name, sight=None, reason="The backend has not answered yet.")

    def suspect(self) -> None:
        """Something failed: nothing new goes there until it has answered."""
        self.alive.clear()
        self._check_now.set()

    async def alive_within(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self.alive.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Until cancelled."""
        failures = pauses(self._settings.retry_s)
        while True:
            was_alive, self.state = self.alive.is_set(), await self._check()
            if self.state.sight is None:
                self.alive.clear()
            else:
                self.alive.set()
            if self.alive.is_set() != was_alive:
                self._changed()
            if self.state.sight is not None:
                failures = pauses(self._settings.retry_s)
                await woken(self._check_now, self._settings.health_s)
            else:
                self._check_now.clear()
                await asyncio.sleep(next(failures))

    async def _check(self) -> BackendState:
        try:
            sight = await self._link.sight()
        except BackendUnavailableError as error:
            return BackendState(name=self._link.name, sight=None, reason=str(error))
        seen = BackendSeen(
            name=self._link.name,
            executor=self._executor,
            comfyui_version=sight.version,
            device=sight.device,
        )
        return BackendState(name=self._link.name, sight=seen)
