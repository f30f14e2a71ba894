"""An upload on its way: hashed as it passes, and stopped where it is too long or another one than was named."""

import hashlib
from collections.abc import AsyncIterator

from commands.ports import ObjectTooLarge, WrongDigest
from domain.ids import Digest


async def checked(chunks: AsyncIterator[bytes], digest: Digest, limit_bytes: int) -> AsyncIterator[bytes]:
    """The same chunks. Raises ObjectTooLarge, and WrongDigest behind the last one."""
    sha, size = hashlib.sha256(), 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit_bytes:
            raise ObjectTooLarge(f"An object may have {limit_bytes} bytes at most.")
        sha.update(chunk)
        yield chunk
    if sha.hexdigest() != digest:
        raise WrongDigest("The bytes are not those that the digest names.")
