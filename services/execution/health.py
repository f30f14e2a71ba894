"""Whether a backend lives: asked from time to time, and at once when something went wrong with it.

One that comes and goes is not trusted as soon as it answers again: it has to stay well for a while, longer each time.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from uuid import UUID

from domain.backend import BackendSeen
from services.execution.pauses import pauses, woken
from services.execution.settings import ExecutorSettings
from services.ports.backend import BackendLink, BackendUnavailableError
from services.ports.messages import BackendState


class Health:
    """`changed` is called when the backend appears, disappears, or is trusted again. `access`: of its order."""

    def __init__(
        self,
        executor: str,
        link: BackendLink,
        settings: ExecutorSettings,
        changed: Callable[[], None],
        *,
        access: UUID | None = None,
    ) -> None:
        self._executor = executor
        self._link = link
        self._settings = settings
        self._changed = changed
        self._access = access
        self._check_now = asyncio.Event()
        self._losses: deque[float] = deque()
        self._well = False
        self._trusted_at = 0.0
        self.alive = asyncio.Event()
        self.state = self._absent("The backend has not answered yet.")

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
            was_alive, self.state = self.alive.is_set(), await self._look()
            if self.state.sight is None:
                self.alive.clear()
            else:
                self.alive.set()
            if self.alive.is_set() != was_alive:
                self._changed()
            if self._well:
                failures = pauses(self._settings.retry_s)
                await woken(self._check_now, self._pause_s())
            else:
                self._check_now.clear()
                await asyncio.sleep(next(failures))

    async def _look(self) -> BackendState:
        now = asyncio.get_running_loop().time()
        found = await self._check()
        if found.sight is None:
            if self._well:
                self._losses.append(now)
            self._well = False
            return found
        if not self._well:
            self._well = True
            self._trusted_at = now + self._probation_s(now)
        left_s = self._trusted_at - now
        if left_s <= 0:
            return found
        times = len(self._losses)
        return self._absent(
            f"It came and went {times} times; it is given work when it has stayed well for {left_s:.0f} s more."
        )

    def _probation_s(self, now: float) -> float:
        """How long it has to stay well after it has come back: each loss of late doubles it."""
        settings = self._settings
        while self._losses and now - self._losses[0] > settings.flap_window_s:
            self._losses.popleft()
        excess = len(self._losses) - settings.flaps
        return 0.0 if excess < 0 else float(min(settings.flap_s * 2**excess, settings.flap_window_s))

    def _pause_s(self) -> float:
        """On probation it is looked at more often: it has to be well all the time."""
        left_s = self._trusted_at - asyncio.get_running_loop().time()
        return (
            self._settings.health_s
            if left_s <= 0
            else min(self._settings.health_s, left_s, self._settings.retry_s)
        )

    async def _check(self) -> BackendState:
        try:
            sight = await self._link.sight()
        except BackendUnavailableError as error:
            return self._absent(str(error))
        seen = BackendSeen(
            name=self._link.name,
            executor=self._executor,
            comfyui_version=sight.version,
            device=sight.device,
        )
        return BackendState(name=self._link.name, sight=seen, access=self._access)

    def _absent(self, reason: str) -> BackendState:
        return BackendState(name=self._link.name, sight=None, reason=reason, access=self._access)
