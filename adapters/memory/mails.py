"""Mails in memory."""

from datetime import datetime
from uuid import UUID

from commands.identity_ports import Mail, MailToken


class MemoryMails:
    """The Mails port. `waiting` is to be sent, `put_offs` later; `tokens` still work."""

    def __init__(self) -> None:
        self.waiting: list[Mail] = []
        self.put_offs: dict[UUID, tuple[Mail, datetime]] = {}
        self.tokens: dict[bytes, MailToken] = {}

    async def put(self, mail: Mail, at: datetime) -> None:
        self.waiting.append(mail)

    async def put_off(self, mail: Mail, until: datetime) -> None:
        self.put_offs[mail.id] = mail, until

    async def keep_token(self, token: MailToken) -> None:
        self.tokens[token.token_hash] = token

    async def use_token(self, token_hash: bytes) -> MailToken | None:
        return self.tokens.pop(token_hash, None)
