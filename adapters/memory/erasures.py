"""The list of erased accounts, in memory."""

from datetime import datetime

from domain.ids import AccountId


class MemoryErasures:
    """The Erasures port."""

    def __init__(self) -> None:
        self.list: dict[AccountId, datetime] = {}

    async def note(self, account: AccountId, at: datetime) -> None:
        self.list.setdefault(account, at)

    async def noted(self) -> dict[AccountId, datetime]:
        return dict(self.list)
