"""Takes in LoRA files: piece by piece onto the disk, looked at as soon as there is something to look at.

Each step may be cut off and done again. The bytes are the part file's, what was promised is in the table of uploads,
and the LoRA has the upload's id: whoever finishes it once more finds it on the shelf.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from commands.dispatcher import Dispatcher
from commands.loras import UploadLora
from commands.ports import KeyReused, ObjectTooLarge, WrongDigest
from commands.streams import Accepted, Context
from domain import lora
from domain.ids import AccountId, Digest, LoraId, Position, account_actor, shelf_id
from domain.lora import SHELF, Lora, LoraUploaded, Quota
from domain.refusals import Conflict, DomainError, FieldError, Invalid, NotFound
from domain.workflow import Content
from services.ports.uploading import (
    Checksum,
    ChecksumMismatch,
    LoraFiles,
    Part,
    PartFiles,
    Received,
    Room,
    Upload,
    UploadBusy,
    Uploads,
    WrongOffset,
)
from workflows.families import summary
from workflows.safetensors import Header, header_end, read_header

logger = logging.getLogger(__name__)

NO_UPLOAD = "There is no such upload; it was ended, refused, or has expired."
FOR_GOOD = (Invalid, WrongDigest, ObjectTooLarge, Conflict)
"""Refusals that sending it again would meet again: nothing is left of such an upload."""
SLACK = 256 * 1024  # of a form: what is in it beside the file
LOOKED_AT = 16  # the first bytes tell what it is, and how long its header is
ALGORITHMS: dict[str, Callable[[], "hashlib._Hash"]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}


class UploadLimits(Struct, frozen=True, kw_only=True):
    max_bytes: int = 10 * 2**30
    quota: Quota = Quota(count=500, size_bytes=100 * 2**30)
    kept: timedelta = timedelta(days=1)
    """For so long after its last bytes an upload may be gone on with."""


class LoraUploads:
    """The Uploading port."""

    def __init__(
        self,
        uploads: Uploads,
        parts: PartFiles,
        files: LoraFiles,
        dispatcher: Dispatcher,
        limits: UploadLimits = UploadLimits(),
    ) -> None:
        self._uploads = uploads
        self._parts = parts
        self._files = files
        self._dispatcher = dispatcher
        self._limits = limits

    @property
    def max_bytes(self) -> int:
        return self._limits.max_bytes

    async def begin(
        self,
        account: AccountId,
        *,
        file: str,
        name: str,
        description: str,
        size_bytes: int | None,
        digest: Digest | None,
        about_bytes: int = 0,
        id: UUID | None = None,
    ) -> Upload:
        limits, now = self._limits, self._dispatcher.needs.now()
        room_bytes = limits.max_bytes if size_bytes is None else size_bytes
        if max(room_bytes, about_bytes) > limits.max_bytes:
            raise ObjectTooLarge(f"A LoRA may have {limits.max_bytes} bytes at most.")
        upload = Upload(
            id=id or self._dispatcher.needs.new_id(),
            account=account,
            name=lora.plain_name(name),
            description=lora.plain_description(description),
            file=lora.plain_file_name(file),
            size_bytes=size_bytes,
            room_bytes=room_bytes,
            digest=digest,
            made_at=now,
            expires_at=now + limits.kept,
        )
        if id is not None and (begun := await self._uploads.find(id)) is not None:
            if (begun.name, begun.file, begun.size_bytes) != (upload.name, upload.file, upload.size_bytes):
                raise KeyReused("This Idempotency-Key came with another upload.")
            return begun
        return await self._begin(upload, about_bytes)

    async def _begin(self, upload: Upload, about_bytes: int) -> Upload:
        shelf, _ = await self._dispatcher.needs.streams.load(SHELF, shelf_id(upload.account))
        quota = self._limits.quota
        left = Room(quota.count - len(shelf.loras), quota.size_bytes - shelf.size_bytes)
        if upload.size_bytes is None:
            expected = min(about_bytes or upload.room_bytes, upload.room_bytes)
            upload = replace(
                upload, room_bytes=max(about_bytes, min(expected + SLACK, upload.room_bytes, left.size_bytes))
            )
        if not _may_be(shelf.named(upload.name), upload, about_bytes):
            lora.fits(shelf, name=upload.name, size_bytes=upload.room_bytes, quota=quota)
        if not await self._uploads.begin(upload, left):
            raise Conflict(
                "Your uploads under way take the room that is left. Finish or end one of them first."
            )
        return upload

    async def status(self, account: AccountId, id: UUID) -> Received:
        upload = await self._found(account, id)
        if upload.lora is not None:
            return Received(upload, upload.size_bytes or 0)
        return Received(upload, await asyncio.to_thread(self._parts.size, id))

    async def receive(
        self,
        account: AccountId,
        id: UUID,
        offset: int,
        chunks: AsyncIterator[bytes],
        checksum: Checksum | None = None,
    ) -> Received:
        upload = await self._found(account, id)
        if upload.lora is not None:
            raise WrongOffset("This upload is complete.")
        try:
            async with self._parts.open(id) as part:
                if part.size != offset:
                    raise WrongOffset(f"The upload stands at byte {part.size}. Go on from there.")
                await self._take(upload, part, chunks, checksum)
                await self._uploads.keep_until(id, self._dispatcher.needs.now() + self._limits.kept)
                if part.size == upload.size_bytes:
                    upload = await self._finish(upload, part)
                return Received(upload, part.size)
        except (WrongOffset, UploadBusy):
            raise  # it may be gone on with
        except FOR_GOOD:
            await self._discard(id)
            raise

    async def whole(
        self, account: AccountId, id: UUID, *, name: str, description: str, digest: Digest | None
    ) -> Received:
        upload = await self._found(account, id)
        try:
            async with self._parts.open(id) as part:
                named = replace(
                    upload,
                    name=lora.plain_name(name),
                    description=description,
                    digest=digest,
                    size_bytes=part.size,
                )
                return Received(await self._finish(named, part), part.size)
        except DomainError:
            await self._discard(id)
            raise

    async def cancel(self, account: AccountId, id: UUID) -> None:
        await self._found(account, id)
        async with self._parts.open(id):
            await self._discard(id)

    async def complete(self, upload: Upload) -> None:
        """Finish what is all there and was left lying by whoever received it. Refused for good, it is thrown away."""
        if upload.lora is not None or upload.size_bytes is None:
            return
        if await asyncio.to_thread(self._parts.size, upload.id) != upload.size_bytes:
            return
        with suppress(UploadBusy):
            async with self._parts.open(upload.id) as part:
                try:
                    await self._finish(upload, part)
                except DomainError as refusal:
                    logger.info("upload refused", extra={"upload": str(upload.id), "reason": str(refusal)})
                    await self._discard(upload.id)

    async def _found(self, account: AccountId, id: UUID) -> Upload:
        upload = await self._uploads.find(id)
        now = self._dispatcher.needs.now()
        if upload is None or upload.account != account or upload.expires_at <= now:
            raise NotFound(NO_UPLOAD)
        return upload

    async def _take(
        self, upload: Upload, part: Part, chunks: AsyncIterator[bytes], checksum: Checksum | None
    ) -> None:
        """Raises what is wrong with the bytes; those of before are kept then, but for a checksum that is wrong."""
        begun, look = part.size, _Look(upload.size_bytes, upload.room_bytes)
        hashed = ALGORITHMS[checksum.algorithm]() if checksum else None
        try:
            async for chunk in chunks:
                if part.size + len(chunk) > upload.room_bytes:
                    raise ObjectTooLarge(
                        f"These are more than the {upload.room_bytes} bytes there is room for."
                    )
                await part.write(chunk)
                if hashed is not None:
                    hashed.update(chunk)
                await look.at(part)
            if hashed is not None and checksum is not None and hashed.digest() != checksum.value:
                raise ChecksumMismatch(
                    "The bytes that arrived are not those that were sent. Send them again."
                )
        except BaseException:
            if hashed is not None:  # nobody knows which of them are right
                await part.cut(begun)
            raise

    async def _finish(self, upload: Upload, part: Part) -> Upload:
        """Make a LoRA of it. Whoever dies in between leaves it to be finished again."""
        look = _Look(part.size, part.size)
        header = await look.whole(part)
        digest = await part.digest()
        if upload.digest not in (None, digest):
            raise WrongDigest("The file is not the one whose SHA-256 was announced.")
        shelf, _ = await self._dispatcher.needs.streams.load(SHELF, shelf_id(upload.account))
        if (same := shelf.holding(digest)) is not None:
            return await self._done(upload, part.size, same.id, Position(0))
        uploaded = LoraUploaded(
            owner=upload.account,
            lora=LoraId(upload.id),
            name=upload.name,
            file=lora.file_name(upload.file, digest),
            content=Content(digest, part.size),
            description=upload.description,
            summary=await asyncio.to_thread(summary, header),
        )
        lora.upload(shelf, uploaded=uploaded, quota=self._limits.quota)
        named = lora.stored_path(upload.account, uploaded.file)
        await self._files.keep(digest, await part.settle(), named)
        try:
            accepted = await self._put(uploaded)
        except DomainError:  # the last place was taken a moment ago
            await asyncio.to_thread(self._parts.remove, upload.id)
            await self._files.release(digest, named)
            raise
        return await self._done(upload, part.size, LoraId(upload.id), accepted.position)

    async def _put(self, uploaded: LoraUploaded) -> Accepted:
        needs = self._dispatcher.needs
        context = Context(actor=account_actor(uploaded.owner), correlation=needs.new_id())
        accepted: Accepted = await self._dispatcher.run(
            UploadLora(uploaded=uploaded, quota=self._limits.quota), context
        )
        return accepted

    async def _done(self, upload: Upload, size_bytes: int, id: LoraId, position: Position) -> Upload:
        await self._uploads.complete(upload.id, size_bytes, id, position)
        await asyncio.to_thread(self._parts.remove, upload.id)
        logger.info("lora uploaded", extra={"lora": str(id), "size_bytes": size_bytes})
        return replace(upload, lora=id, position=position, size_bytes=size_bytes)

    async def _discard(self, id: UUID) -> None:
        await self._uploads.remove(id)
        await asyncio.to_thread(self._parts.remove, id)


def _may_be(there: Lora | None, upload: Upload, about_bytes: int) -> bool:
    """Whether it may turn out to be what is on the shelf under its name: somebody sends it a second time."""
    if there is None:
        return False
    size_bytes = there.content.size_bytes
    if upload.size_bytes is not None:
        return size_bytes == upload.size_bytes and upload.digest in (None, there.content.digest)
    return about_bytes <= size_bytes <= about_bytes + SLACK


class _Look:
    """Reads a file's header as soon as it is there, once."""

    def __init__(self, size_bytes: int | None, most_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._most_bytes = most_bytes
        self._end: int | None = None
        self._over = False

    async def at(self, part: Part) -> None:
        """Raises Invalid."""
        if self._over or part.size < (self._end or LOOKED_AT):
            return
        if self._end is None:
            self._end = header_end(await part.head(LOOKED_AT))
        if part.size >= self._end:
            header = await self._read(part, self._end)
            if header.size_bytes > self._most_bytes:
                told = f"Its header promises {header.size_bytes} bytes; so many are not sent, or not taken."
                raise Invalid("This is no LoRA that can be taken.", FieldError("file", told))

    async def whole(self, part: Part) -> Header:
        """Of a file that is all there. Raises Invalid."""
        return await self._read(part, header_end(await part.head(LOOKED_AT)))

    async def _read(self, part: Part, end: int) -> Header:
        self._over = True
        return await asyncio.to_thread(read_header, await part.head(end), self._size_bytes)
