"""Tidies up behind uploads and deleted LoRAs: what nobody goes on with, and what nobody needs any more.

Everything is found by looking at what lies there, not by remembering what was done: so whoever died in between has
left nothing that is not found.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from commands.needs import Needs
from domain.ids import AccountId, Digest, Position, shelf_id
from domain.lora import SHELF, Shelf, graph_path, read_path, stored_path
from services.errand import AWAY, Leading, lead
from services.ports.relaying import Leadership
from services.ports.uploading import LoraFiles, NoRoom, PartFiles, Upload, Uploads

logger = logging.getLogger(__name__)


class RunsUnderWay(Protocol):
    async def need(self, digest: Digest, head: Position) -> bool:
        """Whether a run that is not over names a file of this digest. True as long as nobody can tell."""

    async def shelves(self) -> Sequence[AccountId]:
        """Whose LoRAs there are."""


class TidyingLog(Leading, Protocol):
    async def head(self) -> Position: ...


class Completing(Protocol):
    async def complete(self, upload: Upload) -> None:
        """Finish what is all there and was left lying by whoever received it."""


class LoraTidying:
    """Runs until it is cancelled, in one process at a time.

    `settle`: how long a file may be there before its LoRA is on the shelf, and a run be on its way into the queue.
    """

    name = "loras"

    def __init__(
        self,
        log: TidyingLog,
        uploads: Uploads,
        parts: PartFiles,
        files: LoraFiles,
        runs: RunsUnderWay,
        completing: Completing,
        needs: Needs,
        *,
        settle: timedelta,
        every_s: float,
    ) -> None:
        self._log = log
        self._uploads = uploads
        self._parts = parts
        self._files = files
        self._runs = runs
        self._completing = completing
        self._needs = needs
        self._settle = settle
        self._every_s = every_s

    async def run(self) -> None:
        await lead(self.name, self._log, self._work, (*AWAY, NoRoom))

    async def _work(self, leadership: Leadership) -> None:
        await self._name_all()
        while await leadership.held():
            await self.tidy()
            await asyncio.sleep(self._every_s)

    async def tidy(self) -> None:
        await self._tidy_uploads()
        await self._tidy_files()

    async def _tidy_uploads(self) -> None:
        """The files are looked at first: a file is never older than its row."""
        parts = await asyncio.to_thread(self._parts.ids)
        uploads = await self._uploads.all()
        for upload in uploads:
            if upload.expires_at <= self._needs.now():
                logger.info("upload expired", extra={"upload": str(upload.id)})
                await self._forget(upload.id)
            elif upload.lora is None:
                await self._completing.complete(upload)
        for id in parts - {upload.id for upload in uploads if upload.lora is None}:
            await asyncio.to_thread(self._parts.remove, id)

    async def _tidy_files(self) -> None:
        """Files of no LoRA on any shelf, once no run that was submitted needs them."""
        head, settled = await self._log.head(), self._needs.now() - self._settle
        shelves: dict[AccountId, Shelf] = {}
        async for stored, since in self._files.names():
            owner, _, file = stored.partition("/loras/")
            path = read_path(f"{owner}/{file}")
            if path is None or since > settled:
                continue
            if path.owner not in shelves:
                shelves[path.owner], _ = await self._needs.streams.load(SHELF, shelf_id(path.owner))
            kept = any(lora.file == path.file for lora in shelves[path.owner].loras)
            if not kept and not await self._runs.need(path.digest, head):
                await self._files.release(path.digest, stored)
                logger.info("lora file removed", extra={"file": graph_path(path.owner, path.file)})

    async def _name_all(self) -> None:
        """After a restore the objects are back, and none of them has a name."""
        for owner in await self._runs.shelves():
            shelf, _ = await self._needs.streams.load(SHELF, shelf_id(owner))
            for lora in shelf.loras:
                named = await self._files.name(lora.content.digest, stored_path(owner, lora.file))
                if not named:
                    logger.error("the file of a LoRA is missing", extra={"lora": str(lora.id)})

    async def _forget(self, id: UUID) -> None:
        await self._uploads.remove(id)
        await asyncio.to_thread(self._parts.remove, id)
