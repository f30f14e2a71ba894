"""Documents beside the log, in memory."""

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

    async def get(self, digest: Digest) -> bytes | None:
        return self.kept.get(digest)
