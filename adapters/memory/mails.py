"""Mails in memory."""

from datetime import datetime

from commands.identity_ports import Mail, MailToken


class MemoryMails:
    """The Mails port. `waiting` holds what is to be sent, `tokens` those that still work."""

    def __init__(self) -> None:
        self.waiting: list[Mail] = []
        self.tokens: dict[bytes, MailToken] = {}

    async def put(self, mail: Mail, at: datetime) -> None:
        self.waiting.append(mail)

    async def keep_token(self, token: MailToken) -> None:
        self.tokens[token.token_hash] = token

    async def use_token(self, token_hash: bytes) -> MailToken | None:
        return self.tokens.pop(token_hash, None)
