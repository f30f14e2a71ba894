"""What an executor needs of the world: its line to dispatch, the object store, pictures, a spool on disk."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from msgspec import Struct

from domain.ids import AccountId, AttemptId, Digest, RunId
from services.ports.backend import Ending
from services.ports.messages import (
    Assignment,
    Beat,
    BeatAnswer,
    ClaimRequest,
    Fact,
    HeldAttempt,
    NodesTold,
    OpenRequest,
    Progress,
    Report,
    ReportAnswer,
    Stock,
)
from services.ports.trying import Trial, Tried


class DispatchUnavailableError(Exception):
    """Nobody answered: NATS or dispatch is away. The question may be asked again."""


class DispatchLink(Protocol):
    """The executor's line to dispatch. Every method raises DispatchUnavailableError."""

    async def claim(self, request: ClaimRequest) -> Assignment | None: ...

    async def open(self, request: OpenRequest) -> Sequence[Assignment]: ...

    async def beat(self, beat: Beat) -> BeatAnswer: ...

    async def report(self, executor: str, report: Report) -> ReportAnswer: ...

    async def stock(self, stock: Stock) -> None:
        """What a backend has; afterwards it is given only what it can run."""

    async def progress(self, owner: AccountId, progress: Progress) -> None:
        """Fire and forget; dropped while disconnected."""

    async def preview(self, owner: AccountId, run: RunId, image: bytes, media_type: str, node: str) -> None:
        """`progress.<account>.<run>.preview`, body = the image, header `Content-Type`. Dropped when over 256 KB.

        `node`: whose; empty where that is unknown.
        """

    async def nodes_told(self, owner: AccountId, told: NodesTold) -> None:
        """Fire and forget; dropped while disconnected."""

    def on_wake(self, callback: Callable[[], None]) -> None:
        """Call when there may be something to claim (`runs.wake.<pool>`)."""

    def on_cancel(self, callback: Callable[[HeldAttempt], None]) -> None:
        """Call when an attempt should stop (`exec.<executor>.cancel`); a lost hint is repaired by the next beat."""

    def on_try(self, callback: Callable[[Trial], None]) -> None:
        """Call when somebody wants to know whether there is a ComfyUI (`exec.any.try`)."""

    async def tried(self, tried: Tried) -> None:
        """What came of it. Dropped while disconnected."""


class ObjectsUnavailableError(Exception):
    """The object store cannot be reached just now."""


class ObjectRefusedError(Exception):
    """The object store answered no: expired token, too large, wrong digest."""


class TokenRefusedError(ObjectRefusedError):
    """The claim's token is not (any more) good for this: a beat's answer may bring a new one."""


class Coming(Struct, frozen=True):
    size_bytes: int
    chunks: AsyncIterator[bytes]


class ClaimObjects(Protocol):
    """Objects as an executor reaches them: with the token of its claim."""

    async def get(self, digest: Digest, token: str) -> bytes: ...

    def download(self, digest: Digest, token: str) -> AbstractAsyncContextManager[Coming]:
        """An object that may be larger than memory. What it raises, its chunks may raise as well."""

    async def put(self, digest: Digest, body: bytes, media_type: str, token: str) -> None:
        """Storing the same bytes twice is not an error."""


class Thumbnail(Struct, frozen=True, kw_only=True):
    body: bytes
    media_type: str
    width: int
    height: int


class Picture(Struct, frozen=True, kw_only=True):
    """Sizes in pixels, as the picture is meant to be looked at; no thumbnails where it cannot be decoded."""

    width: int
    height: int
    media_type: str
    thumbnails: tuple[Thumbnail, ...]


class Imaging(Protocol):
    async def picture(self, body: bytes) -> Picture | None:
        """None: this is not a picture. Never raises for strange bytes."""


class Submitting(Struct, frozen=True, kw_only=True, tag="submitting"):
    """From now on the backend may know of the attempt: it is never submitted again."""

    run: RunId
    epoch: int
    backend: str
    line: str = ""
    """By which name the backend tells us of it: a later process listens under the same one."""


class Called(Struct, frozen=True, kw_only=True, tag="called"):
    """The backend has it, under a name of its own: only by that name can it be found again."""

    name: str


class EndedAs(Struct, frozen=True, kw_only=True, tag="ended"):
    """What it came to: from now on the backend need not know of the attempt."""

    ending: Ending


class Settled(Struct, frozen=True, kw_only=True, tag="settled"):
    """Everything there is to report; the outputs are in the object store."""

    facts: tuple[Fact, ...]


SpoolEntry: TypeAlias = Submitting | Called | EndedAs | Settled


class SpoolFullError(Exception):
    """The executor's disk is full."""


class Spool(Protocol):
    """What an executor must know again after kill -9. Small writes: they return before anything else happens."""

    def has_room(self) -> bool:
        """Whether there is enough to begin something new."""

    def entries(self) -> dict[AttemptId, tuple[SpoolEntry, ...]]:
        """Everything that is not forgotten, in order."""

    def append(self, attempt: AttemptId, entry: SpoolEntry) -> None:
        """Raises SpoolFullError; then all is as before."""

    def forget(self, attempt: AttemptId) -> None:
        """It is acknowledged, or nobody wants it: drop its entries and outputs."""

    async def keep(self, attempt: AttemptId, number: int, body: bytes) -> None:
        """Keep the n-th output until the attempt is forgotten, if there is room for it."""

    async def kept(self, attempt: AttemptId, number: int) -> bytes | None: ...
