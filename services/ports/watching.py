"""How a run is shown as it happens."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, RunId
from services.ports.messages import NodesTold, Progress


class StepSeen(Struct, frozen=True):
    progress: Progress


class PreviewSeen(Struct, frozen=True):
    image: bytes
    media_type: str
    run: RunId | None = None
    node: str = ""


class NodesSeen(Struct, frozen=True):
    """What was said of the nodes of a run that a client of ComfyUI sent."""

    told: NodesTold


class FactSeen(Struct, frozen=True):
    """An event of the run. Each position comes once; some may be missing after GapFeared."""

    recorded: AnyRecorded


class GapFeared(Struct, frozen=True):
    """The line was down for a while: look at the run itself for what may be missing."""


Sighting: TypeAlias = StepSeen | PreviewSeen | NodesSeen | FactSeen | GapFeared


class Watcher(Protocol):
    async def next(self, timeout_s: float) -> Sighting | None:
        """The next thing seen; None after a silence. Who reads too slowly loses the oldest progress."""

    @property
    def waits(self) -> bool:
        """Whether something has been seen already, so that `next` answers at once."""

    def stop(self) -> None:
        """Let whoever waits for the next thing go on: nobody wants it any more."""

    @property
    def stopped(self) -> bool: ...


class Gathering(Watcher, Protocol):
    """What happens to several runs of one account, in one line: facts in the order of the log."""

    def nudge(self) -> None:
        """Let whoever waits for the next thing look around: `next` gives None."""

    @property
    def overrun(self) -> bool:
        """So many facts wait that whoever reads is given up: they may come again from where they were."""

    async def add(self, run: RunId) -> None:
        """From now on this one is seen."""

    async def drop(self, run: RunId) -> None: ...

    async def add_all(self) -> None:
        """From now on every run of the account is seen, also those to come."""

    async def drop_all(self) -> None: ...


class Live(Protocol):
    """What happens to a run, as it happens."""

    def watch(self, account: AccountId, run: RunId) -> AbstractAsyncContextManager[Watcher]:
        """`account` is the run's owner: who may watch was decided before.

        What happens from its beginning on is seen: read the run itself, and its last progress, inside.
        """

    def gather(self, account: AccountId) -> AbstractAsyncContextManager[Gathering]:
        """Nothing is seen before something is added. Whose a run is was decided before."""

    async def last_progress(self, account: AccountId, run: RunId) -> Progress | None:
        """Of the last hour, where it is still known."""
