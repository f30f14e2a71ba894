"""One object on its way into S3: at once where it is small, in parts where it is not. Nobody sees half of it."""

import asyncio
import base64
import hashlib
from contextlib import suppress
from types import TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

PART_BYTES = 8 << 20  # S3 takes 5 MiB at least, and 10 000 of them: 80 GiB
ABORT_S = 10.0


class Upload:
    """Holds one part in memory. What is not finished when it is left is taken back."""

    def __init__(self, client: Any, bucket: str, key: str, part_bytes: int = PART_BYTES) -> None:
        self._client = client  # botocore makes it at run time, hence Any
        self._part_bytes = part_bytes
        self._where = {"Bucket": bucket, "Key": key}
        self._held = bytearray()
        self._id: str | None = None
        self._parts: list[dict[str, Any]] = []

    async def __aenter__(self) -> "Upload":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._id is not None:
            await self._abort(self._id)

    async def add(self, chunk: bytes) -> None:
        self._held += chunk
        while len(self._held) >= self._part_bytes:
            part = bytes(self._held[: self._part_bytes])
            del self._held[: self._part_bytes]
            await self._send(part)

    async def finish(self) -> None:
        """Let it be seen."""
        rest = bytes(self._held)
        if self._id is None:
            await self._client.put_object(**self._where, Body=rest, ContentMD5=await _md5(rest))
            return
        if rest:
            await self._send(rest)
        parts = {"Parts": self._parts}
        await self._client.complete_multipart_upload(**self._where, UploadId=self._id, MultipartUpload=parts)
        self._id = None

    async def _send(self, part: bytes) -> None:
        if self._id is None:
            self._id = (await self._client.create_multipart_upload(**self._where))["UploadId"]
        number = len(self._parts) + 1
        answer = await self._client.upload_part(
            **self._where, UploadId=self._id, PartNumber=number, Body=part, ContentMD5=await _md5(part)
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    async def _abort(self, id: str) -> None:
        """As well as it can be done now: what is left is collected later."""
        with suppress(BotoCoreError, ClientError, TimeoutError):
            async with asyncio.timeout(ABORT_S):
                await self._client.abort_multipart_upload(**self._where, UploadId=id)


async def _md5(body: bytes) -> str:
    """S3 compares it with what has arrived."""
    found = await asyncio.to_thread(hashlib.md5, body, usedforsecurity=False)
    return base64.b64encode(found.digest()).decode()
