"""What it takes to put together everything that is an account's."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from msgspec import Struct

from commands.ports import Download
from domain.event import AnyRecorded
from domain.ids import AccountId, Digest, Position

Row: TypeAlias = dict[str, Any]
"""A row of a read model, as JSON has it."""


class ExportState(StrEnum):
    WAITING = "waiting"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class Export(Struct, frozen=True, kw_only=True):
    """`done` of `total` steps; both 0 until it has begun. `ended_at`: when it was ready, or given up for `reason`."""

    id: UUID
    account: AccountId
    state: ExportState
    done: int
    total: int
    size_bytes: int | None
    reason: str | None
    asked_at: datetime
    ended_at: datetime | None


class Exports(Protocol):
    """Who asked for what, and how far it is. Every method raises LogUnavailableError."""

    async def ask(self, account: AccountId, id: UUID, at: datetime) -> Export:
        """The account's export with this id, else the one that is under way, else a new one."""

    async def newest(self, account: AccountId) -> Export | None: ...

    async def find(self, id: UUID) -> Export | None: ...

    async def next(self) -> Export | None:
        """The one to be built: it has waited longest, or somebody died building it."""

    async def progress(self, id: UUID, done: int, total: int) -> bool:
        """False: nobody wants it any more."""

    async def ready(self, id: UUID, size_bytes: int, at: datetime) -> bool:
        """It takes the place of older ones. False: nobody wants it any more."""

    async def failed(self, id: UUID, reason: str, at: datetime) -> None: ...

    async def forget(self, id: UUID) -> None: ...

    async def forget_ended(self, before: datetime) -> None: ...

    async def ids(self) -> Sequence[UUID]: ...


class Archive(Protocol):
    async def add(self, name: str, chunks: AsyncIterator[bytes], *, packed: bool = False) -> None:
        """`packed`: it is compressed already."""

    async def finish(self) -> int:
        """Let it be seen. Returns its size in bytes."""


class Archives(Protocol):
    """Archives by the ids of their exports. Every method raises OSError or ObjectsAwayError."""

    def begin(self, id: UUID) -> AbstractAsyncContextManager[Archive]:
        """What somebody who died has left of it is thrown away, as is what is not finished."""

    async def size(self, id: UUID) -> int | None:
        """In bytes; None: there is none, or it is not finished."""

    def read(self, id: UUID, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` and before `end`. Raises ObjectMissingError before the first."""

    async def link(self, id: UUID, download: Download) -> str | None:
        """A URL that gives it to whoever has it, for some minutes. None: ask `read` and pass it on."""

    async def ids(self) -> set[UUID]:
        """Of all there are, finished or not."""

    async def remove(self, id: UUID) -> None: ...


class Things(Protocol):
    """What of an account is in the read models, in an order that nothing changes."""

    async def counted(self, account: AccountId) -> int:
        """Workflow versions and runs, together."""

    def workflows(self, account: AccountId) -> AsyncIterator[Row]: ...

    def versions(self, account: AccountId, workflow: UUID) -> AsyncIterator[Row]: ...

    def runs(self, account: AccountId) -> AsyncIterator[Row]:
        """With their `outputs`."""

    def templates(self, account: AccountId) -> AsyncIterator[Row]: ...

    def presets(self, account: AccountId) -> AsyncIterator[Row]: ...

    def inputs(self, account: AccountId) -> AsyncIterator[Row]: ...


class OwnLog(Protocol):
    async def head(self) -> Position: ...

    async def of_owner(
        self, owner: AccountId, after: Position, upto: Position, limit: int
    ) -> Sequence[AnyRecorded]:
        """The first events of an account's things between two positions."""


class StoredObjects(Protocol):
    """Every method raises ObjectsAwayError."""

    async def size(self, digest: Digest) -> int | None:
        """In bytes; None: there is none."""

    def read(self, digest: Digest) -> AsyncIterator[bytes]:
        """Raises ObjectMissingError before the first piece."""
