"""Who stays connected: they are sent away as soon as what they came with is over."""

import asyncio
from collections import Counter
from typing import Protocol

from adapters.http.callers import Caller
from adapters.http.parts import Ended
from domain.ids import AccountId

LOOK_S = 0.25  # how soon; about as soon as this process hears of it
MANY = 100  # of one account and one kind, in one process


class Guest(Protocol):
    @property
    def caller(self) -> Caller: ...

    def send_away(self) -> None: ...


class Guests:
    """All that are connected to this process."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self._here: dict[Guest, None] = {}
        self._of: Counter[tuple[AccountId, type[Guest]]] = Counter()
        self._looking: asyncio.Task[None] | None = None

    def are_many(self, newcomer: Guest) -> bool:
        """Whether its account has as many of its kind here as it may."""
        return self._of[_kind(newcomer)] >= MANY

    def enter(self, guest: Guest) -> None:
        self._here[guest] = None
        self._of[_kind(guest)] += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    def leave(self, guest: Guest) -> None:
        del self._here[guest]
        self._of[_kind(guest)] -= 1
        if not self._of[_kind(guest)]:
            del self._of[_kind(guest)]

    async def _look(self) -> None:
        while self._here:
            await asyncio.sleep(LOOK_S)
            for guest in tuple(self._here):
                if guest.caller.is_over(self._ended):
                    guest.send_away()


def _kind(guest: Guest) -> tuple[AccountId, type[Guest]]:
    return guest.caller.account, type(guest)
