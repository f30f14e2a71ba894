"""Objects in a bucket of any S3: `<prefix>objects/<digest>`. Imported only where S3 is set: its client is large.

What is being removed has a mark, `<prefix>removing/<digest>/...`: S3 cannot remove on the condition that nobody has
stored or named the object since, and whoever stores it again, or names it, looks for the mark afterwards.
"""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aioboto3
from botocore.config import Config
from botocore.handlers import add_expect_header
from msgspec import Struct

from adapters.storage.checked import checked
from adapters.storage.s3_archives import S3Archives
from adapters.storage.s3_arrivals import Arrivals
from adapters.storage.s3_faults import told
from adapters.storage.s3_names import Names
from adapters.storage.s3_reading import pieces
from adapters.storage.s3_upload import Upload
from commands.ports import Clock, Download, Listed, ObjectMissingError, ObjectsAwayError
from domain.ids import Digest

COPIED_BYTES = 5 << 30  # S3 copies no more than that at once
REMOVING_S = 60.0  # a mark that is older is of somebody who was killed


class Bucket(Struct, frozen=True, kw_only=True):
    """`public_endpoint`: how people reach it. `link_s`: how long a link is good for; None: there are no links."""

    name: str
    endpoint: str | None
    public_endpoint: str | None
    region: str
    access_key: str | None
    secret_key: str | None
    prefix: str = ""
    path_style: bool = False
    link_s: int | None = None

    def __repr__(self) -> str:
        return f"Bucket({self.name!r})"  # the key must not reach a log


@asynccontextmanager
async def opened(bucket: Bucket, now: Clock) -> AsyncIterator["S3Objects"]:
    """It need not be there yet."""
    session = aioboto3.Session(
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        region_name=bucket.region,
    )
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if bucket.path_style else "auto"},
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=64,
        request_checksum_calculation="when_required",  # not every S3 knows the newer ones
        response_checksum_validation="when_required",
    )
    public = bucket.public_endpoint or bucket.endpoint
    async with (
        session.client("s3", endpoint_url=bucket.endpoint, config=config) as client,
        session.client("s3", endpoint_url=public, config=config) as signer,
    ):
        # A part is small enough to be sent unasked; with this header some wait for a word that never comes.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        yield S3Objects(client, signer, bucket, now)


class S3Objects:
    """The Objects port. `client` and `signer` are made by botocore at run time, hence Any."""

    def __init__(self, client: Any, signer: Any, bucket: Bucket, now: Clock) -> None:
        self._client = client
        self._signer = signer
        self._bucket = bucket
        self._now = now
        self._arrivals = Arrivals(client, signer, bucket.name, bucket.prefix, now)
        self.names = Names(client, bucket.name, bucket.prefix)
        self.archives = S3Archives(client, signer, bucket.name, bucket.prefix, bucket.link_s)

    async def put(self, digest: Digest, chunks: AsyncIterator[bytes], limit_bytes: int) -> int:
        """Returns the size in bytes. Raises WrongDigest, ObjectTooLarge, ObjectsAwayError; then nothing is kept."""
        there = await self._found(digest)
        size = 0
        if there is not None and there.size_bytes <= COPIED_BYTES:
            async for chunk in checked(chunks, digest, limit_bytes):
                size += len(chunk)
            await self._renew(digest)
            return size
        async with Upload(self._client, self._bucket.name, self._key(digest)) as upload:
            async for chunk in checked(chunks, digest, limit_bytes):
                size += len(chunk)
                with told():
                    await upload.add(chunk)
            try:
                with told():
                    await upload.finish()
            except ObjectsAwayError:
                if await self.size(digest) != size:  # what was answered may have been lost on the way
                    raise
        return size

    async def size(self, digest: Digest) -> int | None:
        """In bytes; None: there is none."""
        found = await self._found(digest)
        return None if found is None else found.size_bytes

    async def read(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Asks for the rest where the connection is lost. Raises ObjectMissingError before the first piece."""
        if end is not None and start >= end:
            if await self.size(digest) is None:
                raise ObjectMissingError("There is no such object.")
            return
        async for piece in pieces(self._client, self._bucket.name, self._key(digest), start, end):
            yield piece

    async def link(self, digest: Digest, download: Download) -> str | None:
        """Signed here: nobody is asked."""
        if self._bucket.link_s is None:
            return None
        params = {
            "Bucket": self._bucket.name,
            "Key": self._key(digest),
            "ResponseContentType": download.media_type,
            "ResponseContentDisposition": download.disposition,
        }
        with told():
            url = await self._signer.generate_presigned_url(
                "get_object", Params=params, ExpiresIn=self._bucket.link_s
            )
        return str(url)

    async def place(self, arrival: str, size_bytes: int) -> str | None:
        if self._bucket.link_s is None or size_bytes > COPIED_BYTES:
            return None
        return await self._arrivals.link(arrival, size_bytes, self._bucket.link_s)

    async def take(self, arrival: str, digest: Digest, limit_bytes: int) -> int:
        there = await self._found(digest)
        size = await self._arrivals.take(arrival, digest, limit_bytes, self._key(digest))
        if there is not None:
            await self._renew(digest)
        return size

    async def remove(self, digest: Digest, settled_before: datetime) -> bool:
        """Whether it is gone: one that was stored since then stays. One with a name is its owner's."""
        found = await self._found(digest)
        if found is None or found.stored_at >= settled_before:
            return found is None
        mark, begun = f"{self._marks(digest)}{secrets.token_hex(8)}", time.monotonic()
        with told():
            await self._client.put_object(Bucket=self._bucket.name, Key=mark, Body=b"")
            try:
                found = await self._found(digest)  # whoever stores or names it from here on sees the mark
                if found is None or found.stored_at >= settled_before:
                    return found is None
                if await self.names.has_any(digest):
                    return True
                if time.monotonic() - begun > REMOVING_S / 4:
                    raise ObjectsAwayError("The object store is too slow.")
                await self._client.delete_object(Bucket=self._bucket.name, Key=self._key(digest))
                return True
            finally:
                await self._client.delete_object(Bucket=self._bucket.name, Key=mark)

    async def listed(self) -> AsyncIterator[Listed]:
        start = self._key(Digest(""))
        async for each in self._under(start):
            yield Listed(Digest(each["Key"].removeprefix(start)), each["Size"], each["LastModified"])

    async def _found(self, digest: Digest) -> Listed | None:
        try:
            with told():
                about = await self._client.head_object(Bucket=self._bucket.name, Key=self._key(digest))
        except ObjectMissingError:
            return None
        return Listed(digest, about["ContentLength"], about["LastModified"])

    async def _renew(self, digest: Digest) -> None:
        """As if it were stored now. Raises as `rely_on`."""
        where = {"Bucket": self._bucket.name, "Key": self._key(digest)}
        try:
            with told():
                await self._client.copy_object(
                    **where,
                    CopySource=where,
                    MetadataDirective="REPLACE",
                    Metadata={"mtime": str(time.time())},  # rclone tells this as LastModified
                )
        except ObjectMissingError as error:
            raise ObjectsAwayError("The object is just being removed.") from error
        await self.rely_on(digest)

    async def rely_on(self, digest: Digest) -> None:
        """It is there to stay. Raises ObjectsAwayError where it may be gone any moment."""
        async for mark in self._under(self._marks(digest)):
            if self._now() - mark["LastModified"] < timedelta(seconds=REMOVING_S):
                raise ObjectsAwayError("The object is just being removed.")
            with told():
                await self._client.delete_object(Bucket=self._bucket.name, Key=mark["Key"])
        if await self._found(digest) is None:
            raise ObjectsAwayError("The object was just removed.")

    async def _under(self, start: str) -> AsyncIterator[Any]:
        with told():
            pages = self._client.get_paginator("list_objects_v2")
            async for page in pages.paginate(Bucket=self._bucket.name, Prefix=start):
                for each in page.get("Contents", ()):
                    yield each

    def _key(self, digest: Digest) -> str:
        return f"{self._bucket.prefix}objects/{digest}"

    def _marks(self, digest: Digest) -> str:
        return f"{self._bucket.prefix}removing/{digest}/"
