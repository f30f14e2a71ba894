"""A backend's folder of models, as an executor on the same machine sees it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from domain.ids import AttemptId


class FolderFullError(Exception):
    """There is no room for the file, whatever is removed."""


class ModelFile(Struct, frozen=True):
    """`used_at`: when a run last needed it, in seconds since 1970."""

    size_bytes: int
    used_at: float


class IncomingFile(Protocol):
    """Not to be seen until it is finished; if it never is, nothing is left of it. Its methods raise OSError."""

    async def write(self, chunk: bytes) -> None: ...

    async def finish(self) -> None:
        """On the disk for good, then there as a whole."""


class ModelFolder(Protocol):
    """LoRAs by their names below `models/loras`, as graphs have them: ours alone, never what others have put there."""

    def files(self) -> Mapping[str, ModelFile]: ...

    def free_bytes(self) -> int:
        """Of the disk."""

    def incoming(self, name: str, size_bytes: int) -> AbstractAsyncContextManager[IncomingFile]:
        """Its room is taken before the first byte. Raises FolderFullError, OSError."""

    def use(self, name: str) -> None:
        """A run needs it now."""

    def remove(self, name: str) -> None: ...

    def lease(self, attempt: AttemptId, names: Iterable[str]) -> None:
        """Note what an attempt needs, so that the next process knows it. Raises FolderFullError, OSError."""

    def release(self, attempt: AttemptId) -> None: ...

    def leases(self) -> Mapping[AttemptId, frozenset[str]]: ...
