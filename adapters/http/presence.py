"""Who stays connected: they are sent away as soon as what they came with is over."""

import asyncio
from typing import Protocol

from adapters.http.callers import Caller
from adapters.http.parts import Ended

LOOK_S = 0.25  # how soon; about as soon as this process hears of it


class Guest(Protocol):
    @property
    def caller(self) -> Caller: ...

    def send_away(self) -> None: ...


class Guests:
    """All that are connected to this process."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self._here: dict[Guest, None] = {}
        self._looking: asyncio.Task[None] | None = None

    def enter(self, guest: Guest) -> None:
        self._here[guest] = None
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    def leave(self, guest: Guest) -> None:
        self._here.pop(guest, None)

    async def _look(self) -> None:
        while self._here:
            await asyncio.sleep(LOOK_S)
            for guest in tuple(self._here):
                if guest.caller.is_over(self._ended):
                    guest.send_away()
