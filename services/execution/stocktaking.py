"""Telling dispatch what a backend has: once it is there, when it has come back, and from time to time."""

import asyncio
import logging
import zlib
from uuid import UUID

from msgspec.structs import replace

from domain.ids import Digest
from services.execution.health import Health
from services.execution.pauses import pauses, woken
from services.execution.settings import ExecutorSettings
from services.ports.backend import BackendLink, BackendUnavailableError, StockTaken
from services.ports.executing import DispatchLink, DispatchUnavailableError
from services.ports.messages import Stock
from workflows.inventory import digest, written

logger = logging.getLogger(__name__)

MAX_DEFINITIONS = 512 * 1024  # packed: with the inventory it has to fit into one message


class Stocktaking:
    """`tried`: dispatch knows what it has, or cannot be told; before that the backend is given nothing."""

    def __init__(
        self,
        link: BackendLink,
        health: Health,
        dispatch: DispatchLink,
        settings: ExecutorSettings,
        *,
        access: UUID | None = None,
        takes_loras: bool = False,
    ) -> None:
        self._link = link
        self._health = health
        self._dispatch = dispatch
        self._settings = settings
        self._access = access
        self._takes_loras = takes_loras
        self._told: Digest | None = None
        self._again = asyncio.Event()
        self.tried = asyncio.Event()

    def look_again(self) -> None:
        """It may have something else than before."""
        self._again.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = pauses(self._settings.inventory_s)
        while True:
            await self._health.alive.wait()
            self._again.clear()
            try:
                await self._take()
            except BackendUnavailableError as error:
                logger.info("no inventory", extra={"backend": self._link.name, "reason": str(error)})
                self._health.suspect()
                await asyncio.sleep(next(failures))
            except DispatchUnavailableError as error:
                logger.info("inventory not told", extra={"backend": self._link.name, "reason": str(error)})
                self.tried.set()
                await asyncio.sleep(next(failures))
            else:
                failures = pauses(self._settings.inventory_s)
                self.tried.set()
                await woken(self._again, self._settings.inventory_s)

    async def _take(self) -> None:
        taken = await self._link.inventory()
        if taken is None:
            return
        definitions = await self._definitions(taken)
        named = taken.inventory.definitions if definitions is not None else None
        body = written(replace(taken.inventory, takes_loras=self._takes_loras, definitions=named))
        if (now := digest(body)) == self._told:
            return
        packed = await asyncio.to_thread(zlib.compress, body)
        await self._dispatch.stock(
            Stock(backend=self._link.name, access=self._access, packed=packed, definitions=definitions)
        )
        self._told = now

    async def _definitions(self, taken: StockTaken) -> bytes | None:
        """What its node classes take and give, packed; None where there is no room for it."""
        if taken.definitions is None:
            return None
        packed = await asyncio.to_thread(zlib.compress, taken.definitions)
        if len(packed) > MAX_DEFINITIONS:
            logger.warning("too many node classes to tell", extra={"backend": self._link.name})
            return None
        return packed
