"""What it takes to send mails that wait."""

from typing import Protocol
from uuid import UUID

from msgspec import Struct

from commands.identity_ports import Mail

ATTEMPTS = 11  # put off twice as long each time: more than a day


class MailerError(Exception):
    """It could not be handed over; trying again later makes sense."""


class Due(Struct, frozen=True):
    """`attempts`: with this one."""

    id: UUID
    mail: Mail
    attempts: int


class Outbox(Protocol):
    """Both raise LogUnavailableError."""

    async def next(self) -> Due | None:
        """The one that has waited longest; it is put off until it is done, for others and for the next attempt.

        What has been tried ATTEMPTS times is forgotten, whatever ended each of them.
        """

    async def done(self, id: UUID) -> None: ...


class Mailer(Protocol):
    async def send(self, mail: Mail) -> None:
        """Raises MailerError."""
