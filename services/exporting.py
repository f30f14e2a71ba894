"""Builds what people have asked for of their own: one archive at a time, in one process.

Whoever dies while building begins that archive again. Archives go after a day, or with their account.
"""

import asyncio
import logging
from collections import Counter
from datetime import timedelta
from uuid import UUID

from commands.needs import Needs
from commands.ports import LogUnavailableError, ObjectsAwayError
from services.export_archive import Building, Material, Unwanted
from services.ports.exporting import Archives, Export, Exports
from services.ports.relaying import LogTail

logger = logging.getLogger(__name__)

POLL_S = 1.0
PAUSE_S = 2.0  # before something that failed is tried again
ATTEMPTS = 3
KEPT = timedelta(days=1)
NO_ROOM = "There was no room for it. Please ask again later."
FAILED = "It could not be put together. Please ask again later."


class Exporting:
    """Runs until it is cancelled."""

    name = "exporting"

    def __init__(
        self, tail: LogTail, exports: Exports, archives: Archives, material: Material, needs: Needs
    ) -> None:
        self._tail = tail
        self._exports = exports
        self._archives = archives
        self._material = material
        self._needs = needs
        self._attempts: Counter[object] = Counter()

    async def run(self) -> None:
        while True:
            try:
                async with self._tail.leadership(self.name) as leadership, asyncio.TaskGroup() as group:
                    tidying = group.create_task(self._tidy())
                    while await leadership.held():
                        export = await self._exports.next()
                        if export is None:
                            await asyncio.sleep(POLL_S)
                        else:
                            await self._build(export)
                    tidying.cancel()
            except* (LogUnavailableError, ObjectsAwayError) as errors:
                logger.warning("exports wait", extra={"reason": str(errors.exceptions[0])})
            except* Exception:  # the outermost loop: others wait for theirs
                logger.exception("exporting failed")
            await asyncio.sleep(PAUSE_S)

    async def _build(self, export: Export) -> None:
        """Raises LogUnavailableError, ObjectsAwayError: then it is begun again."""
        extra = {"export": str(export.id), "account": str(export.account)}
        building = Building(export, self._exports, self._material, self._needs)
        try:
            async with self._archives.begin(export.id) as archive:
                await building.fill(archive)
                size_bytes = await archive.finish()
            if not await self._exports.ready(export.id, size_bytes, self._needs.now()):
                raise Unwanted
            logger.info("export ready", extra=extra | {"size_bytes": size_bytes})
        except Unwanted:
            logger.info("export is not wanted any more", extra=extra)
            await self._exports.forget(export.id)
            await self._archives.remove(export.id)
        except OSError:
            logger.exception("export cannot be written", extra=extra)
            await self._exports.failed(export.id, NO_ROOM, self._needs.now())
        except (LogUnavailableError, ObjectsAwayError):
            raise
        except Exception:  # of its material; the next may have better luck
            logger.exception("export failed", extra=extra)
            self._attempts[export.id] += 1
            if self._attempts[export.id] >= ATTEMPTS:
                await self._exports.failed(export.id, FAILED, self._needs.now())
            else:
                await asyncio.sleep(PAUSE_S)

    async def _tidy(self) -> None:
        """Remove what nobody wants any more. Files are looked at before rows: a file is never older than its row.

        An object store counts how often it is asked, so it is asked when the rows have changed, and after a start.
        """
        seen: set[UUID] | None = None
        while True:
            await self._exports.forget_ended(self._needs.now() - KEPT)
            if (rows := set(await self._exports.ids())) != seen:
                there = await self._archives.ids()
                for id in there - set(await self._exports.ids()) if there else ():
                    await self._archives.remove(id)
                seen = rows
            await asyncio.sleep(POLL_S)
