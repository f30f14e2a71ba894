"""What others PUT into the bucket by links of ours, until it has proved to be what it is called.

`arriving/<arrival>` is theirs: whoever has the link may write there again as long as it is good. So it is copied aside,
where nobody else can write, looked at there, and only then is it the object.
"""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from adapters.storage.checked import checked
from adapters.storage.s3_faults import told
from adapters.storage.s3_reading import pieces
from commands.ports import Clock
from domain.ids import Digest

KEPT = timedelta(days=1)  # what nobody has come back for
LOOKED_FOR = timedelta(hours=1)  # how often


class Arrivals:
    """`client` and `signer` are made by botocore at run time, hence Any."""

    def __init__(self, client: Any, signer: Any, bucket: str, prefix: str, now: Clock) -> None:
        self._client = client
        self._signer = signer
        self._bucket = bucket
        self._prefix = f"{prefix}arriving/"
        self._now = now
        self._cleared_at = now() - LOOKED_FOR

    async def link(self, arrival: str, size_bytes: int, link_s: int) -> str:
        """For a PUT of so many bytes, no more and no fewer."""
        await self._clear()
        params = {"Bucket": self._bucket, "Key": self._key(arrival), "ContentLength": size_bytes}
        with told():
            url = await self._signer.generate_presigned_url("put_object", Params=params, ExpiresIn=link_s)
        return str(url)

    async def take(self, arrival: str, digest: Digest, limit_bytes: int, key: str) -> int:
        """Copy it to its key if it is what its digest says; in any case nothing else is left of it."""
        aside = self._key(f"aside/{secrets.token_hex(16)}")
        try:
            await self._copy(self._key(arrival), aside)
            size = 0
            async for piece in checked(pieces(self._client, self._bucket, aside), digest, limit_bytes):
                size += len(piece)
            await self._copy(aside, key)
            return size
        finally:
            with told():
                for each in (aside, self._key(arrival)):
                    await self._client.delete_object(Bucket=self._bucket, Key=each)

    async def _copy(self, source: str, target: str) -> None:
        """Raises ObjectMissingError, ObjectsAwayError."""
        origin = {"Bucket": self._bucket, "Key": source}
        with told():
            await self._client.copy_object(Bucket=self._bucket, Key=target, CopySource=origin)

    async def _clear(self) -> None:
        """Of those who were killed, now and then."""
        if self._now() - self._cleared_at < LOOKED_FOR:
            return
        self._cleared_at = self._now()
        with told():
            async for each in self._all():
                if self._now() - each["LastModified"] > KEPT:
                    await self._client.delete_object(Bucket=self._bucket, Key=each["Key"])

    async def _all(self) -> AsyncIterator[Any]:
        pages = self._client.get_paginator("list_objects_v2")
        async for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
            for each in page.get("Contents", ()):
                yield each

    def _key(self, arrival: str) -> str:
        return f"{self._prefix}{arrival}"
