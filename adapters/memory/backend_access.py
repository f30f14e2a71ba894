"""Backends' addresses and credentials in memory."""

from collections.abc import Collection, Sequence
from uuid import UUID

from commands.backend_access import Access
from domain.ids import AccountId


class MemoryBackendAccess:
    """The BackendAccess port."""

    def __init__(self) -> None:
        self.kept: dict[UUID, tuple[str, AccountId | None, Access]] = {}

    async def keep(self, id: UUID, backend: str, owner: AccountId | None, access: Access) -> None:
        self.kept[id] = (backend, owner, access)

    async def opened(self, ids: Collection[UUID]) -> dict[UUID, Access]:
        return {id: access for id, (_, _, access) in self.kept.items() if id in ids}

    async def names(self) -> Sequence[str]:
        return sorted({backend for backend, _, _ in self.kept.values()})

    async def forget(self, backend: str, *, but: UUID | None = None) -> None:
        self.kept = {id: kept for id, kept in self.kept.items() if kept[0] != backend or id == but}
