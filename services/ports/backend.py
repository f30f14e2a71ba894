"""A backend as its executor sees it: what may be asked of it, and what it tells."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from domain.ids import AttemptId
from domain.outcome import Course, Failure, NodeTime
from workflows.inventory import Inventory
from workflows.protocol.messages import Message


class BackendUnavailableError(Exception):
    """The backend cannot be reached, or answers what makes no sense. What was asked was not done."""


class PromptUncertainError(Exception):
    """Queued or not, nobody knows: look for the attempt before anything else is decided."""


class GraphRefusedError(Exception):
    """The backend will not run this graph, or not all of it: then it is `queued` and has to be stopped."""

    def __init__(self, failure: Failure, *, queued: bool = False) -> None:
        super().__init__(failure.reason)
        self.failure = failure
        self.queued = queued


class OutputMissingError(Exception):
    """The backend reported a file that it does not serve, or one that is too large."""


class BackendFile(Struct, frozen=True, kw_only=True):
    """A file as the backend names it. `node` is the graph's node; names are reused, so it is copied at once.

    `place`: where the link finds it, if not by its name.
    """

    node: str
    filename: str
    subfolder: str
    type: str
    place: str = ""


class Finished(Struct, frozen=True, kw_only=True, tag="finished"):
    """Executed to the end; `files` in an order that does not depend on how the end was learnt."""

    files: tuple[BackendFile, ...]
    execution_s: float
    nodes: tuple[NodeTime, ...] = ()
    course: Course | None = None


class Broken(Struct, frozen=True, kw_only=True, tag="broken"):
    failure: Failure
    nodes: tuple[NodeTime, ...] = ()
    course: Course | None = None


class Interrupted(Struct, frozen=True, kw_only=True, tag="interrupted"):
    """Somebody stopped it: we, or a person at the backend."""


Ending: TypeAlias = Finished | Broken | Interrupted


class Place(StrEnum):
    """Where a backend has an attempt that has not ended."""

    WAITING = "waiting"
    RUNNING = "running"
    NOWHERE = "nowhere"


class Began(Struct, frozen=True):
    attempt: AttemptId


class Advanced(Struct, frozen=True, kw_only=True):
    """`percent` is over all nodes of the graph; `value` of `max` is the node's own progress."""

    attempt: AttemptId
    percent: float
    node: str | None = None
    node_class: str | None = None
    value: float = 0
    max: float = 0


class Previewed(Struct, frozen=True, kw_only=True):
    attempt: AttemptId
    image: bytes
    media_type: str
    node: str = ""


class Told(Struct, frozen=True):
    """What the backend said of a node, word by word. `files`: what the node has made, in the order of its others."""

    attempt: AttemptId
    message: Message
    files: tuple[BackendFile, ...] = ()


class Ended(Struct, frozen=True, kw_only=True):
    attempt: AttemptId
    ending: Ending


class Unsettled(Struct, frozen=True):
    """Something happened that signals do not tell: look for the attempts now. May come without need."""


Signal: TypeAlias = Began | Advanced | Previewed | Told | Ended | Unsettled


class BackendSight(Struct, frozen=True, kw_only=True):
    version: str
    device: str


class StockTaken(Struct, frozen=True):
    """What a backend has. `documents`: those that the inventory names, of what its node classes tell.

    `web_files`: what custom nodes bring for the editor, by path.
    """

    inventory: Inventory
    documents: tuple[bytes, ...] = ()
    web_files: Mapping[str, bytes] = {}


class BackendLink(Protocol):
    """The executor's line to one backend. Its methods raise BackendUnavailableError unless they say more."""

    @property
    def name(self) -> str: ...

    @property
    def line(self) -> str:
        """By which name the backend tells what becomes of attempts that are submitted now."""

    def resume(self, line: str) -> None:
        """Listen under this name, which an earlier process had. Called before `listen`."""

    async def listen(self, hear: Callable[[Signal], None]) -> None:
        """Pass on what the backend tells of submitted attempts, until cancelled.

        Signals may be lost or come twice: look as well.
        """

    async def sight(self) -> BackendSight:
        """Whether it lives, and what it is."""

    async def inventory(self) -> StockTaken | None:
        """What it has; None where that cannot be found out. Takes long where it has much."""

    async def submit(
        self, attempt: AttemptId, graph: dict[str, Any], extra: dict[str, Any] | None = None
    ) -> str:
        """Queue a graph under the attempt's id. Returns the backend's own name for it, "" where it takes ours.

        `extra`: what a client of ComfyUI sent along, who wants to be told of each node; None: nobody does.

        Raises GraphRefusedError, PromptUncertainError as well.
        """

    async def upload(self, name: str, body: bytes, media_type: str) -> str:
        """Put a picture where graphs load them from. Returns how the backend calls it: that may be another name."""

    def follow(self, attempt: AttemptId, graph: dict[str, Any], called: str) -> None:
        """An earlier process submitted it, and got this name for it: pass on what is told of it from now on."""

    def forget(self, attempt: AttemptId) -> None:
        """It has ended, or is given up: no more signals of it. It may still be stopped, and its files be fetched."""

    async def look(self, attempts: Sequence[AttemptId]) -> Sequence[Place | Ending]:
        """Where each of them is, from one look at the backend."""

    async def stop(self, attempt: AttemptId) -> None:
        """Ask to stop this attempt and nothing else. Whether it has stopped, `look` tells."""

    async def fetch(self, file: BackendFile, limit_bytes: int) -> bytes:
        """Raises OutputMissingError as well."""
