"""Attempts in memory."""

from datetime import datetime, timedelta
from uuid import UUID

from commands.identity_ports import Tries


class MemoryAttempts:
    """The Attempts port."""

    def __init__(self) -> None:
        self._until: dict[UUID, datetime] = {}

    async def take(self, key: UUID, tries: Tries, now: datetime) -> timedelta:
        until = max(self._until.get(key, now), now) + tries.step
        if until > now + tries.window:
            return until - now - tries.window
        self._until[key] = until
        return timedelta()

    async def give_back(self, key: UUID, tries: Tries, now: datetime) -> None:
        self._until[key] = self._until.get(key, now) - tries.step
