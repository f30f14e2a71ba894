"""Pictures that people send us."""

from typing import IO, Protocol

from msgspec import Struct

from services.ports.executing import Thumbnail


class Reencoded(Struct, frozen=True):
    """Sizes in pixels."""

    body: bytes
    media_type: str
    width: int
    height: int


class Pictures(Protocol):
    async def reencode(self, file: IO[bytes]) -> Reencoded:
        """The picture alone, upright. Raises Invalid for what is none, or is too large."""

    async def thumbnails(self, file: IO[bytes]) -> tuple[Thumbnail, ...]:
        """The picture alone, upright, in one or two sizes, the smaller first. Raises Invalid as `reencode` does."""

    async def avatar(self, file: IO[bytes]) -> Reencoded:
        """A small square out of its middle. Raises Invalid as `reencode` does."""
