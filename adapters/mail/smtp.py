"""Mails by SMTP, with the standard library in a thread: few are sent, one at a time."""

import asyncio
import smtplib
import ssl
from urllib.parse import unquote, urlsplit

from adapters.mail.message import message
from commands.identity_ports import Mail
from commands.ports import Clock
from services.ports.mailing import MailerError

PATIENCE_S = 30.0


class SmtpMailer:
    """The Mailer port. `smtps://` speaks TLS from the beginning; `smtp://` as soon as the server offers it.

    Name and password are never sent over a line that anybody could read.
    """

    def __init__(self, url: str, sender: str, now: Clock, trusted: ssl.SSLContext | None = None) -> None:
        """`trusted`: whose certificates count; None: those that the system trusts."""
        self._parts = urlsplit(url)
        self._sender = sender
        self._now = now
        self._trusted = trusted

    async def send(self, mail: Mail) -> None:
        try:
            await asyncio.to_thread(self._send, mail)
        except (smtplib.SMTPException, OSError) as error:
            raise MailerError(f"The mail server did not take it: {type(error).__name__}") from error

    def _send(self, mail: Mail) -> None:
        made = message(mail, self._sender, self._now)
        trusted = self._trusted or ssl.create_default_context()
        host, user = self._parts.hostname or "", self._parts.username
        with self._connected(host, trusted) as server:
            server.ehlo()
            if self._parts.scheme == "smtp" and (user or server.has_extn("starttls")):
                server.starttls(context=trusted)
                server.ehlo()
            if user:
                server.login(unquote(user), unquote(self._parts.password or ""))
            server.send_message(made)

    def _connected(self, host: str, trusted: ssl.SSLContext) -> smtplib.SMTP:
        if self._parts.scheme == "smtps":
            return smtplib.SMTP_SSL(host, self._parts.port or 465, timeout=PATIENCE_S, context=trusted)
        return smtplib.SMTP(host, self._parts.port or 587, timeout=PATIENCE_S)
