"""Looking, for somebody who wants to know, whether there is a ComfyUI at an address."""

import asyncio
from uuid import uuid4

from domain.backend import BackendSeen
from services.execution.driving import Connect
from services.ports.backend import BackendUnavailableError
from services.ports.executing import DispatchLink
from services.ports.messages import BackendOrder
from services.ports.trying import Trial, Tried

AT_ONCE = 8
BUSY = "The executor tries too many addresses just now. Please try again."


class Trying:
    def __init__(self, executor: str, link: DispatchLink, connect: Connect) -> None:
        self._executor = executor
        self._link = link
        self._connect = connect
        self._under_way = 0

    def begin(self, trial: Trial, tasks: set[asyncio.Task[None]]) -> None:
        """Returns at once. `tasks`: those that are cancelled when the executor ends."""
        tasks.add(task := asyncio.create_task(self._try(trial)))
        task.add_done_callback(tasks.discard)

    async def _try(self, trial: Trial) -> None:
        if self._under_way >= AT_ONCE:
            await self._link.tried(Tried(id=trial.id, sight=None, reason=BUSY))
            return
        self._under_way += 1
        try:
            tried = await self._tried(trial)
        finally:
            self._under_way -= 1
        await self._link.tried(tried)

    async def _tried(self, trial: Trial) -> Tried:
        order = BackendOrder(
            name=trial.id.hex,
            access=uuid4(),
            url=trial.url,
            header=trial.header,
            value=trial.value,
            guarded=trial.guarded,
        )
        try:
            found = await self._connect(order).sight()
        except BackendUnavailableError as error:
            return Tried(id=trial.id, sight=None, reason=str(error))
        seen = BackendSeen(
            name="", executor=self._executor, comfyui_version=found.version, device=found.device
        )
        return Tried(id=trial.id, sight=seen)
