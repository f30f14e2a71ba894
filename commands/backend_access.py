"""Where a backend is and what opens it: kept encrypted outside the log, under an id that events name."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.ids import AccountId


class Access(Struct, frozen=True):
    """`header` and `value` are sent with every request; empty: nothing opens it, or nothing has to."""

    url: str
    header: str = ""
    value: str = ""

    def __repr__(self) -> str:
        return "Access(...)"  # neither addresses nor credentials must reach a log


class BackendAccess(Protocol):
    """Every method raises LogUnavailableError."""

    async def keep(self, id: UUID, backend: str, owner: AccountId | None, access: Access) -> None: ...

    async def opened(self, ids: Collection[UUID]) -> Mapping[UUID, Access]:
        """Those that are (still) kept."""

    async def names(self) -> Sequence[str]:
        """Every backend that may be registered, or that an executor has told of, in order."""

    async def forget(self, backend: str, *, but: UUID | None = None) -> None:
        """What is kept of a backend, with one exception."""
