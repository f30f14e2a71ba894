"""Sends the mails that wait. Any number of processes may: each takes another one.

Whoever dies between handing one over and saying so sends it twice.
"""

import asyncio
import logging

from commands.ports import LogUnavailableError
from services.ports.mailing import ATTEMPTS, Mailer, MailerError, Outbox

logger = logging.getLogger(__name__)

POLL_S = 1.0
PAUSE_S = 2.0  # before something that failed is tried again


class Mailing:
    """Runs until it is cancelled."""

    def __init__(self, outbox: Outbox, mailer: Mailer) -> None:
        self._outbox = outbox
        self._mailer = mailer

    async def run(self) -> None:
        while True:
            try:
                if not await self.send_one():
                    await asyncio.sleep(POLL_S)
            except LogUnavailableError as error:
                logger.warning("mails wait", extra={"reason": str(error)})
                await asyncio.sleep(PAUSE_S)
            except Exception:  # the outermost loop: others wait for theirs
                logger.exception("a mail cannot be sent")
                await asyncio.sleep(PAUSE_S)

    async def send_one(self) -> bool:
        """Whether there was one. Raises LogUnavailableError."""
        due = await self._outbox.next()
        if due is None:
            return False
        try:
            await self._mailer.send(due.mail)
        except Exception as error:  # whatever it is: it is tried so often only
            extra = {"mail": str(due.id), "attempts": due.attempts, "reason": str(error)}
            if due.attempts < ATTEMPTS:
                fault = None if isinstance(error, MailerError) else error
                logger.warning("a mail was not sent", extra=extra, exc_info=fault)
                return True
            logger.error("a mail is given up", extra=extra)
        await self._outbox.done(due.id)
        return True
