"""Stopping one attempt in a backend, and nobody else's."""

import asyncio
from collections.abc import Callable

from domain.ids import AttemptId
from services.execution.health import Health
from services.execution.pauses import pauses
from services.execution.settings import ExecutorSettings
from services.ports.backend import BackendLink, BackendUnavailableError, Place


async def stop(
    link: BackendLink,
    attempt: AttemptId,
    health: Health,
    settings: ExecutorSettings,
    left: Callable[[], bool],
) -> None:
    """Ask until the backend neither runs nor queues it: each asking can lose a race.

    `left`: whether the backend is driven no more. Then one that does not answer is not waited for without end.
    """
    now = asyncio.get_running_loop().time
    answered_at = now()
    for pause_s in pauses(settings.look_s):
        try:
            await link.stop(attempt)
            (place,) = await link.look([attempt])
        except BackendUnavailableError:
            health.suspect()
            if left() and now() - answered_at > settings.backend_patience_s:
                return
        else:
            answered_at = now()
            if place not in (Place.WAITING, Place.RUNNING):
                return
        await asyncio.sleep(pause_s)
