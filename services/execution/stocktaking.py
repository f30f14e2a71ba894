"""Telling dispatch what a backend has: once it is there, when it has come back, and from time to time."""

import asyncio
import logging
import zlib
from collections.abc import Mapping
from uuid import UUID

from msgspec.structs import replace

from domain.ids import Digest
from services.execution.health import Health
from services.execution.pauses import pauses, woken
from services.execution.settings import ExecutorSettings
from services.ports.backend import BackendLink, BackendUnavailableError
from services.ports.executing import DispatchLink, DispatchUnavailableError
from services.ports.messages import Part, Stock
from workflows import web_files
from workflows.inventory import digest, written
from workflows.web_files import WebFile

logger = logging.getLogger(__name__)

MAX_DOCUMENT = 640 * 1024  # packed: it has to fit into one message


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
        self._documents: set[Digest] = set()
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
        described = tuple(
            [
                known
                for each in taken.documents
                if (known := await self._known(each, Part.CLASSES)) is not None
            ]
        )
        named = await self._web_files(taken.web_files)
        told = replace(taken.inventory, takes_loras=self._takes_loras, described=described, web_files=named)
        body = written(told)
        if (now := digest(body)) == self._told:
            return
        await self._tell(await asyncio.to_thread(zlib.compress, body))
        self._told = now

    async def _web_files(self, files: Mapping[str, bytes]) -> Digest | None:
        found = {}
        for path, body in files.items():
            told = [await self._known(piece, Part.PIECE) for piece in web_files.cut(body)]
            pieces = tuple([each for each in told if each is not None])
            if len(pieces) == len(told):
                found[path] = WebFile(pieces, len(body))
        return await self._known(web_files.written(found), Part.WEB_FILES) if found else None

    async def _known(self, document: bytes, part: Part) -> Digest | None:
        """Dispatch has it, when this returns. None: there is no room for it."""
        if (named := digest(document)) in self._documents:
            return named
        packed = await asyncio.to_thread(zlib.compress, document)
        if len(packed) > MAX_DOCUMENT:
            logger.warning("too much to tell at once", extra={"backend": self._link.name, "part": part})
            return None
        await self._tell(packed, part)
        self._documents.add(named)
        return named

    async def _tell(self, packed: bytes, part: Part = Part.INVENTORY) -> None:
        """Raises DispatchUnavailableError: then it may know nothing of what it was told before."""
        try:
            await self._dispatch.stock(
                Stock(backend=self._link.name, access=self._access, packed=packed, part=part)
            )
        except DispatchUnavailableError:
            self._documents.clear()
            raise
