"""Names of objects in a bucket, as empty objects: `named/<digest>/<name>`. An object with a name is in use."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from adapters.storage.s3_faults import told
from commands.ports import ObjectMissingError
from domain.ids import Digest


class Names:
    """Every method raises ObjectsAwayError. `client` is made by botocore at run time, hence Any."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}named/"

    async def add(self, digest: Digest, name: str) -> None:
        with told():
            await self._client.put_object(Bucket=self._bucket, Key=self._key(digest, name), Body=b"")

    async def drop(self, digest: Digest, name: str) -> None:
        with told():
            await self._client.delete_object(Bucket=self._bucket, Key=self._key(digest, name))

    async def has(self, digest: Digest, name: str) -> bool:
        try:
            with told():
                await self._client.head_object(Bucket=self._bucket, Key=self._key(digest, name))
        except ObjectMissingError:
            return False
        return True

    async def has_any(self, digest: Digest) -> bool:
        async for _ in self._under(f"{self._prefix}{digest}/"):
            return True
        return False

    async def all(self) -> AsyncIterator[tuple[str, datetime]]:
        """And since when."""
        async for each in self._under(self._prefix):
            _, _, name = each["Key"].removeprefix(self._prefix).partition("/")
            yield name, each["LastModified"]

    async def _under(self, start: str) -> AsyncIterator[Any]:
        with told():
            pages = self._client.get_paginator("list_objects_v2")
            async for page in pages.paginate(Bucket=self._bucket, Prefix=start):
                for each in page.get("Contents", ()):
                    yield each

    def _key(self, digest: Digest, name: str) -> str:
        return f"{self._prefix}{digest}/{name}"
