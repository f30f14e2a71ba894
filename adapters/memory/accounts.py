"""Credentials, keys and refresh tokens in memory."""

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from commands.identity_ports import Credentials, RefreshToken, SessionRow
from domain.ids import AccountId, SessionId


class MemoryAccounts:
    """The Accounts port."""

    def __init__(self) -> None:
        self.credentials: dict[AccountId, Credentials] = {}
        self.refresh_tokens: dict[bytes, RefreshToken] = {}
        self.noted: dict[SessionId, SessionRow] = {}
        self.account_keys: dict[AccountId, bytes] = {}

    async def add(self, credentials: Credentials, key: bytes) -> None:
        self.credentials[credentials.account] = credentials
        self.account_keys[credentials.account] = key

    async def remove(self, account: AccountId) -> None:
        self.credentials.pop(account, None)
        self.account_keys.pop(account, None)

    async def erase(self, account: AccountId) -> None:
        await self.remove(account)
        await self.end_other_sessions(account, None)

    async def keys(self, accounts: Sequence[AccountId]) -> dict[AccountId, bytes]:
        return {account: self.account_keys[account] for account in accounts if account in self.account_keys}

    async def by_id(self, account: AccountId) -> Credentials | None:
        return self.credentials.get(account)

    async def keep_password(self, account: AccountId, id: UUID, password_hash: str) -> None:
        known = self.credentials[account]
        self.credentials[account] = replace(known, passwords={**known.passwords, id: password_hash})

    async def forget_password(self, account: AccountId, id: UUID | None) -> None:
        known = self.credentials[account]
        if id is None:
            self.credentials[account] = replace(known, password_hash="")
        else:
            left = {each: text for each, text in known.passwords.items() if each != id}
            self.credentials[account] = replace(known, passwords=left)

    async def keep_email(self, account: AccountId, name: UUID, email: str) -> None:
        known = self.credentials[account]
        self.credentials[account] = replace(known, emails={**known.emails, name: email})

    async def forget_email(self, account: AccountId, name: UUID | None) -> None:
        known = self.credentials[account]
        if name is None:
            self.credentials[account] = replace(known, email="")
        else:
            left = {each: text for each, text in known.emails.items() if each != name}
            self.credentials[account] = replace(known, emails=left)

    async def note_session(self, row: SessionRow) -> None:
        before = self.noted.get(row.session)
        self.noted[row.session] = row if before is None else replace(row, began_at=before.began_at)

    async def sessions(self, account: AccountId) -> list[SessionRow]:
        own = [row for row in self.noted.values() if row.account == account]
        return sorted(own, key=lambda row: row.used_at, reverse=True)

    async def add_refresh_token(self, token: RefreshToken) -> None:
        self.refresh_tokens[token.token_hash] = token

    async def use_refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        before = self.refresh_tokens.get(token_hash)
        if before is not None:
            self.refresh_tokens[token_hash] = replace(before, used=True)
        return before

    async def end_session(self, session: SessionId) -> None:
        self.noted.pop(session, None)
        self.refresh_tokens = {
            token_hash: token for token_hash, token in self.refresh_tokens.items() if token.session != session
        }

    async def end_other_sessions(self, account: AccountId, kept: SessionId | None) -> None:
        for row in await self.sessions(account):
            if row.session != kept:
                await self.end_session(row.session)
        self.refresh_tokens = {
            token_hash: token
            for token_hash, token in self.refresh_tokens.items()
            if token.account != account or token.session == kept
        }
