"""How a run is shown as it happens."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, RunId
from services.ports.messages import Progress


class StepSeen(Struct, frozen=True):
    progress: Progress


class PreviewSeen(Struct, frozen=True):
    image: bytes
    media_type: str


class FactSeen(Struct, frozen=True):
    """An event of the run. Each position comes once; some may be missing after GapFeared."""

    recorded: AnyRecorded


class GapFeared(Struct, frozen=True):
    """The line was down for a while: look at the run itself for what may be missing."""


Sighting: TypeAlias = StepSeen | PreviewSeen | FactSeen | GapFeared


class Watcher(Protocol):
    async def next(self, timeout_s: float) -> Sighting | None:
        """The next thing seen; None after a silence. Who reads too slowly loses the oldest progress."""

    def stop(self) -> None:
        """Let whoever waits for the next thing go on: nobody wants it any more."""

    @property
    def stopped(self) -> bool: ...


class Live(Protocol):
    """What happens to a run, as it happens."""

    def watch(self, account: AccountId, run: RunId) -> AbstractAsyncContextManager[Watcher]:
        """`account` is the run's owner: who may watch was decided before.

        What happens from its beginning on is seen: read the run itself, and its last progress, inside.
        """

    async def last_progress(self, account: AccountId, run: RunId) -> Progress | None:
        """Of the last hour, where it is still known."""
