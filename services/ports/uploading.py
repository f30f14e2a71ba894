"""What it takes to take in files that are larger than memory, over connections that break."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.ids import AccountId, Digest, LoraId, Position
from domain.refusals import Conflict, DomainError


class UploadBusy(Conflict):
    """Somebody else is sending this very upload."""


class WrongOffset(Conflict):
    """The bytes sent do not follow those that are there."""


class ChecksumMismatch(DomainError):
    """The bytes that arrived are not those that were sent; none of them is kept."""


class NoRoom(DomainError):
    """The disk is full."""


class Upload(Struct, frozen=True, kw_only=True):
    """A LoRA on its way. `size_bytes` None: its end tells. `lora`: what came of it, once it is whole."""

    id: UUID
    account: AccountId
    name: str
    description: str
    file: str
    size_bytes: int | None
    room_bytes: int
    digest: Digest | None
    made_at: datetime
    expires_at: datetime
    lora: LoraId | None = None
    position: Position = Position(0)


class Room(Struct, frozen=True):
    """What an account has left, apart from its uploads."""

    count: int
    size_bytes: int


class Uploads(Protocol):
    """Which uploads are under way. Every method raises LogUnavailableError."""

    async def begin(self, upload: Upload, room: Room) -> bool:
        """Note it, if there is room for it beside all others of its account that are under way."""

    async def find(self, id: UUID) -> Upload | None: ...

    async def keep_until(self, id: UUID, until: datetime) -> None: ...

    async def complete(self, id: UUID, size_bytes: int, lora: LoraId, position: Position) -> None: ...

    async def remove(self, id: UUID) -> None: ...

    async def all(self) -> Sequence[Upload]: ...


class Part(Protocol):
    """An upload's bytes so far, while nobody else writes them. Its methods raise NoRoom, OSError."""

    @property
    def size(self) -> int:
        """With what was written last."""

    async def write(self, chunk: bytes) -> None: ...

    async def cut(self, size: int) -> None:
        """Forget what lies behind."""

    async def head(self, length: int) -> bytes:
        """The first bytes, as many of them as there are."""

    async def digest(self) -> Digest:
        """Of all that is there. Takes no time where all of it was written by this process."""

    async def settle(self) -> Path:
        """On the disk for good; where it lies."""


class PartFiles(Protocol):
    def size(self, id: UUID) -> int:
        """0 where nothing has arrived."""

    def open(self, id: UUID) -> AbstractAsyncContextManager[Part]:
        """Raises UploadBusy. What was written is kept, however it ends."""

    def remove(self, id: UUID) -> None: ...

    def ids(self) -> set[UUID]: ...


class LoraFiles(Protocol):
    """LoRAs in the object store: bytes by digest as all objects, and a name for each LoRA that has them.

    An object with a name is not removed, whoever else does not need it any more. Every method raises ObjectsAwayError.
    """

    async def keep(self, digest: Digest, path: Path, name: str) -> None:
        """Take over a whole file, and name it. Again it changes nothing."""

    async def name(self, digest: Digest, name: str) -> bool:
        """Name an object that is there. False: there is none."""

    async def has(self, digest: Digest, name: str) -> bool: ...

    async def release(self, digest: Digest, name: str) -> None:
        """Take the name away, and the object with its last one."""

    def names(self) -> AsyncIterator[tuple[str, datetime]]:
        """`user-<uuid>/loras/<file>` of all there are, and since when. What comes or goes meanwhile may be missing."""


class Received(Struct, frozen=True):
    """How far an upload is."""

    upload: Upload
    offset: int


class Checksum(Struct, frozen=True):
    """Of the bytes of one request: `sha1`, `sha256` or `md5`."""

    algorithm: str
    value: bytes


class Uploading(Protocol):
    """What the door asks for. Its methods raise LogUnavailableError, NoRoom."""

    @property
    def max_bytes(self) -> int: ...

    async def begin(
        self,
        account: AccountId,
        *,
        file: str,
        name: str,
        description: str,
        size_bytes: int | None,
        digest: Digest | None,
        about_bytes: int = 0,
        id: UUID | None = None,
    ) -> Upload:
        """`about_bytes`: at least so many, where its end tells the size. `id`: one begun with it before is meant.

        Raises KeyReused, Invalid, ObjectTooLarge, Conflict.
        """

    async def status(self, account: AccountId, id: UUID) -> Received:
        """Raises NotFound."""

    async def receive(
        self,
        account: AccountId,
        id: UUID,
        offset: int,
        chunks: AsyncIterator[bytes],
        checksum: Checksum | None = None,
    ) -> Received:
        """What has arrived is kept, even if the sender goes away. The last bytes make it a LoRA.

        Raises NotFound, UploadBusy, WrongOffset, ObjectTooLarge, ChecksumMismatch, Invalid, WrongDigest, Conflict.
        """

    async def whole(
        self, account: AccountId, id: UUID, *, name: str, description: str, digest: Digest | None
    ) -> Received:
        """Its end has come, and what it is called. Raises as receive."""

    async def cancel(self, account: AccountId, id: UUID) -> None:
        """Nothing of it is left. Raises NotFound, UploadBusy."""
