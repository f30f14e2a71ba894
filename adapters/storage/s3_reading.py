"""Reading what has a key in a bucket. Where the connection is lost, the rest is asked for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from adapters.storage.s3_faults import CUT_OFF, NoSuchPart, told
from commands.ports import ObjectsAwayError

PIECE_BYTES = 256 * 1024
ATTEMPTS = 4  # in a row without a byte
PAUSE_S = 0.2  # doubled with each


async def pieces(
    client: Any, bucket: str, key: str, start: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:
    """`client`: botocore makes it at run time. Raises ObjectMissingError before the first piece, ObjectsAwayError."""
    failures = 0
    while end is None or start < end:
        try:
            answer = await _asked(client, bucket, key, start, end)
            if answer is None:
                return
            end = start + answer["ContentLength"]
            async with answer["Body"] as body:
                while piece := await body.content.read(PIECE_BYTES):
                    yield piece
                    start += len(piece)
                    failures = 0
            if start >= end:
                return
        except (*CUT_OFF, ObjectsAwayError) as error:
            failures += 1
            if failures >= ATTEMPTS:
                raise ObjectsAwayError("The object store does not answer to the end.") from error
            await asyncio.sleep(PAUSE_S * 2**failures)


async def _asked(client: Any, bucket: str, key: str, start: int, end: int | None) -> Any:
    """S3's answer; None: nothing stands there. Raises ObjectMissingError."""
    part = {} if start == 0 and end is None else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
    try:
        with told():
            return await client.get_object(Bucket=bucket, Key=key, **part)
    except NoSuchPart:
        return None
