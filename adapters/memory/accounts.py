"""Credentials, keys and refresh tokens in memory."""

from collections.abc import Sequence

from msgspec.structs import replace

from commands.names import canonical_email, canonical_username
from commands.ports import Credentials, RefreshToken
from domain.ids import AccountId, SessionId


class MemoryAccounts:
    """The Accounts port."""

    def __init__(self) -> None:
        self.credentials: dict[AccountId, Credentials] = {}
        self.refresh_tokens: dict[bytes, RefreshToken] = {}
        self.account_keys: dict[AccountId, bytes] = {}

    async def add(self, credentials: Credentials, key: bytes) -> None:
        self.credentials[credentials.account] = credentials
        self.account_keys[credentials.account] = key

    async def remove(self, account: AccountId) -> None:
        self.credentials.pop(account, None)
        self.account_keys.pop(account, None)

    async def erase(self, account: AccountId) -> None:
        await self.remove(account)
        self.refresh_tokens = {
            token_hash: token for token_hash, token in self.refresh_tokens.items() if token.account != account
        }

    async def keys(self, accounts: Sequence[AccountId]) -> dict[AccountId, bytes]:
        return {account: self.account_keys[account] for account in accounts if account in self.account_keys}

    async def by_login(self, login: str) -> list[Credentials]:
        username, email = canonical_username(login), canonical_email(login)
        return [
            each
            for each in self.credentials.values()
            if canonical_username(each.username) == username or canonical_email(each.email) == email
        ]

    async def by_id(self, account: AccountId) -> Credentials | None:
        return self.credentials.get(account)

    async def add_refresh_token(self, token: RefreshToken) -> None:
        self.refresh_tokens[token.token_hash] = token

    async def use_refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        before = self.refresh_tokens.get(token_hash)
        if before is not None:
            self.refresh_tokens[token_hash] = replace(before, used=True)
        return before

    async def end_session(self, session: SessionId) -> None:
        self.refresh_tokens = {
            token_hash: token for token_hash, token in self.refresh_tokens.items() if token.session != session
        }
