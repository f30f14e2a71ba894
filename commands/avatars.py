"""Pictures of accounts: small, kept beside the log by an id, and gone with the account."""

from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.ids import AccountId


class Avatar(Struct, frozen=True):
    body: bytes
    media_type: str


class Avatars(Protocol):
    """Every method raises LogUnavailableError."""

    async def keep(self, account: AccountId, id: UUID, avatar: Avatar) -> bool:
        """One that may come to count. False: there is no such account (any more)."""

    async def find(self, id: UUID) -> Avatar | None: ...

    async def forget(self, account: AccountId, id: UUID) -> None:
        """One that does not count any more."""
