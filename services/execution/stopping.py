"""Stopping one attempt in a backend, and nobody else's."""

import asyncio

from domain.ids import AttemptId
from services.execution.health import Health
from services.execution.pauses import pauses
from services.execution.settings import ExecutorSettings
from services.ports.backend import BackendLink, BackendUnavailableError, Place


async def stop(link: BackendLink, attempt: AttemptId, health: Health, settings: ExecutorSettings) -> None:
    """Ask until the backend neither runs nor queues it: each asking can lose a race."""
    for pause_s in pauses(settings.look_s):
        try:
            await link.stop(attempt)
            (place,) = await link.look([attempt])
        except BackendUnavailableError:
            health.suspect()
        else:
            if place not in (Place.WAITING, Place.RUNNING):
                return
        await asyncio.sleep(pause_s)
