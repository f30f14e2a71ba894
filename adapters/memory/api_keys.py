"""API keys in memory."""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from adapters.memory.accounts import MemoryAccounts
from commands.identity_ports import KeyRow
from domain.ids import AccountId, ApiKeyId


class MemoryApiKeys:
    """The ApiKeys port."""

    def __init__(self, accounts: MemoryAccounts) -> None:
        self._accounts = accounts
        self._rows: dict[ApiKeyId, tuple[KeyRow, bytes]] = {}

    async def add(self, row: KeyRow, key_hash: bytes) -> None:
        self._rows[row.key] = (row, key_hash)

    async def remove(self, key: ApiKeyId, account: AccountId) -> bool:
        row, _ = self._rows.get(key, (None, b""))
        if row is None or row.account != account:
            return False
        del self._rows[key]
        return True

    async def find(self, key: ApiKeyId, key_hash: bytes) -> KeyRow | None:
        row, known = self._rows.get(key, (None, b""))
        return row if row is not None and known == key_hash and self._alive(row) else None

    async def among(self, keys: Sequence[ApiKeyId]) -> Sequence[KeyRow]:
        return [row for row, _ in self._rows.values() if row.key in keys and self._alive(row)]

    async def of(self, account: AccountId) -> Sequence[KeyRow]:
        return [row for row, _ in self._rows.values() if row.account == account and self._alive(row)]

    async def used(self, key: ApiKeyId, at: datetime) -> None:
        row, key_hash = self._rows[key]
        self._rows[key] = (replace(row, used_at=at), key_hash)

    def _alive(self, row: KeyRow) -> bool:
        return row.account in self._accounts.credentials
