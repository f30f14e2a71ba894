"""Second factors in memory."""

from collections.abc import Sequence
from uuid import UUID

from domain.ids import AccountId


class MemoryFactors:
    """The Factors port."""

    def __init__(self) -> None:
        self.secrets: dict[UUID, tuple[AccountId, bytes]] = {}
        self._steps: dict[UUID, int] = {}
        self._codes: dict[UUID, set[bytes]] = {}

    async def keep(self, account: AccountId, id: UUID, secret: bytes) -> None:
        self.secrets[id] = (account, secret)

    async def secret(self, account: AccountId, id: UUID) -> bytes | None:
        whose, secret = self.secrets.get(id, (None, None))
        return secret if whose == account else None

    async def use_step(self, id: UUID, step: int) -> bool:
        fresh = step > self._steps.get(id, 0)
        self._steps[id] = max(step, self._steps.get(id, 0))
        return fresh

    async def keep_codes(self, account: AccountId, id: UUID, hashes: Sequence[bytes]) -> None:
        self._codes[id] = set(hashes)

    async def use_code(self, account: AccountId, id: UUID, code_hash: bytes) -> bool:
        known = self._codes.get(id, set())
        there = code_hash in known
        known.discard(code_hash)
        return there

    async def forget(self, account: AccountId, kept: UUID | None) -> None:
        for id in [id for id, (whose, _) in self.secrets.items() if whose == account and id != kept]:
            del self.secrets[id]
            self._codes.pop(id, None)
