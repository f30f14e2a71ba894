"""Mails as files in a folder: for those who have no mail server, and to look at."""

import asyncio
import os
from pathlib import Path

from adapters.mail.message import message
from commands.identity_ports import Mail
from commands.ports import Clock
from services.ports.mailing import MailerError


class FileMailer:
    """The Mailer port: one .eml each, readable by its owner only."""

    def __init__(self, folder: Path, sender: str, now: Clock) -> None:
        self._folder = folder
        self._sender = sender
        self._now = now

    async def send(self, mail: Mail) -> None:
        written = message(mail, self._sender, self._now).as_bytes()
        try:
            await asyncio.to_thread(self._write, f"{mail.id}.eml", written)
        except OSError as error:
            raise MailerError(f"It cannot be written: {error.strerror}") from error

    def _write(self, name: str, written: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        growing = self._folder / f".{name}"
        with open(os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(written)
        growing.replace(self._folder / name)
