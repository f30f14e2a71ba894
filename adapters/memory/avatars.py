"""Pictures of accounts in memory."""

from uuid import UUID

from adapters.memory.accounts import MemoryAccounts
from commands.avatars import Avatar
from domain.ids import AccountId


class MemoryAvatars:
    """The Avatars port."""

    def __init__(self, accounts: MemoryAccounts) -> None:
        self.kept: dict[UUID, tuple[AccountId, Avatar]] = {}
        self._accounts = accounts

    async def keep(self, account: AccountId, id: UUID, avatar: Avatar) -> bool:
        if await self._accounts.by_id(account) is None:
            return False
        self.kept[id] = (account, avatar)
        return True

    async def find(self, id: UUID) -> Avatar | None:
        whose, avatar = self.kept.get(id, (None, None))
        return None if whose not in self._accounts.credentials else avatar

    async def forget(self, account: AccountId, id: UUID) -> None:
        if self.kept.get(id, (None, None))[0] == account:
            del self.kept[id]
