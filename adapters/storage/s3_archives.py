"""Zip archives in a bucket, `<prefix>exports/<id>.zip`: sent while they are written, and seen once they are whole.

No disk of ours has them, so whichever process is asked for one has it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import IO, Any, cast
from uuid import UUID
from zipfile import ZipFile

from adapters.storage.s3_faults import told
from adapters.storage.s3_reading import pieces
from adapters.storage.s3_upload import Upload
from adapters.storage.zipping import LEVEL, entry
from commands.ports import Download, ObjectMissingError

PART_BYTES = 16 << 20  # an archive may have 10 000 of them


class Outgoing:
    """Takes what a zip writes, and never goes back, until it is taken away."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.written = 0

    def write(self, body: bytes) -> int:
        self.held += body
        self.written += len(body)
        return len(body)

    def flush(self) -> None:
        """Nothing is kept from being taken away."""


class S3Archive:
    """The Archive port. Holds a part in memory."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._outgoing = Outgoing()
        # a zip asks of a file that it cannot go back in for no more than these two
        self._zip = ZipFile(cast(IO[bytes], self._outgoing), "w", compresslevel=LEVEL)

    async def add(self, name: str, chunks: AsyncIterator[bytes], *, packed: bool = False) -> None:
        async with entry(self._zip, name, packed=packed) as write:
            async for chunk in chunks:
                await write(chunk)
                await self._send()

    async def finish(self) -> int:
        await asyncio.to_thread(self._zip.close)
        await self._send()
        with told():
            await self._upload.finish()
        return self._outgoing.written

    async def _send(self) -> None:
        chunk = bytes(self._outgoing.held)
        self._outgoing.held.clear()
        with told():
            await self._upload.add(chunk)


class S3Archives:
    """The Archives port. `client` and `signer` are made by botocore at run time, hence Any."""

    def __init__(self, client: Any, signer: Any, bucket: str, prefix: str, link_s: int | None) -> None:
        self._client = client
        self._signer = signer
        self._bucket = bucket
        self._prefix = f"{prefix}exports/"
        self._link_s = link_s

    @asynccontextmanager
    async def begin(self, id: UUID) -> AsyncIterator[S3Archive]:
        async with Upload(self._client, self._bucket, self._key(id), PART_BYTES) as upload:
            yield S3Archive(upload)

    async def size(self, id: UUID) -> int | None:
        try:
            with told():
                about = await self._client.head_object(Bucket=self._bucket, Key=self._key(id))
        except ObjectMissingError:
            return None
        return int(about["ContentLength"])

    async def read(self, id: UUID, start: int, end: int) -> AsyncIterator[bytes]:
        async for piece in pieces(self._client, self._bucket, self._key(id), start, end):
            yield piece

    async def link(self, id: UUID, download: Download) -> str | None:
        if self._link_s is None:
            return None
        params = {
            "Bucket": self._bucket,
            "Key": self._key(id),
            "ResponseContentType": download.media_type,
            "ResponseContentDisposition": download.disposition,
        }
        with told():
            url = await self._signer.generate_presigned_url(
                "get_object", Params=params, ExpiresIn=self._link_s
            )
        return str(url)

    async def ids(self) -> set[UUID]:
        found = set()
        with told():
            pages = self._client.get_paginator("list_objects_v2")
            async for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for each in page.get("Contents", ()):
                    with suppress(ValueError):  # not of ours
                        found.add(UUID(each["Key"].removeprefix(self._prefix).removesuffix(".zip")))
        return found

    async def remove(self, id: UUID) -> None:
        with told():
            await self._client.delete_object(Bucket=self._bucket, Key=self._key(id))

    def _key(self, id: UUID) -> str:
        return f"{self._prefix}{id}.zip"
