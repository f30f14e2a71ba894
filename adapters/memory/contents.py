"""Documents beside the log, in memory."""

from collections.abc import Sequence
from hashlib import sha256

from domain.ids import Digest


class MemoryContents:
    """The Contents port."""

    def __init__(self) -> None:
        self.kept: dict[Digest, bytes] = {}

    async def put(self, body: bytes) -> Digest:
        digest = Digest(sha256(body).hexdigest())
        self.kept.setdefault(digest, body)
        return digest

    async def put_all(self, bodies: Sequence[bytes]) -> Sequence[Digest]:
        return [await self.put(body) for body in bodies]

    async def get(self, digest: Digest) -> bytes | None:
        return self.kept.get(digest)
