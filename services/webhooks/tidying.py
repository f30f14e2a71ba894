"""What time brings: old deliveries are removed, endpoints that fall too far behind are disabled."""

import asyncio
import logging

from commands.dispatcher import Dispatcher
from commands.ports import LogUnavailableError
from domain.webhook import Reason
from services.ports.delivering import Ledger
from services.webhooks.sending import disable

logger = logging.getLogger(__name__)

EVERY_S = 60.0
KEPT_DAYS = 30
MOST_WAITING = 100_000  # deliveries of one endpoint


class Tidying:
    """Runs until it is cancelled; done by several processes at once it does no harm."""

    def __init__(
        self, ledger: Ledger, dispatcher: Dispatcher, *, kept_days: int = KEPT_DAYS, most: int = MOST_WAITING
    ) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._kept_days = kept_days
        self._most = most

    async def run(self) -> None:
        while True:
            try:
                await self.step()
            except LogUnavailableError as error:
                logger.warning("tidying webhooks waits", extra={"reason": str(error)})
            except Exception:  # the outermost loop
                logger.exception("tidying webhooks failed")
            await asyncio.sleep(EVERY_S)

    async def step(self) -> None:
        await self._ledger.collect(self._kept_days)
        for webhook in await self._ledger.overfull(self._most):
            await disable(self._dispatcher, webhook, Reason.BEHIND)
