"""Pictures that people send us, and how those that were made are handed out."""

from datetime import datetime
from typing import IO, Protocol

from msgspec import Struct

from domain.ids import Digest
from domain.rendition import Rendition
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

    async def masked(self, picture: bytes, mask: IO[bytes]) -> Reencoded:
        """A picture with the transparency of another one of its size. Raises Invalid as `reencode` does."""

    async def channel(self, picture: bytes, *, alpha: bool) -> bytes:
        """As a PNG: the transparency alone, or the colours alone. Raises Invalid as `reencode` does."""

    async def avatar(self, file: IO[bytes]) -> Reencoded:
        """A small square out of its middle. Raises Invalid as `reencode` does."""


class Rendered(Struct, frozen=True):
    body: bytes
    media_type: str


class Renderer(Protocol):
    async def render(self, body: bytes, rendition: Rendition) -> Rendered | None:
        """None: as it is. Raises Invalid for what cannot be handed out like this."""


class KeptRendition(Struct, frozen=True):
    """An object that was made of another one."""

    digest: Digest
    media_type: str


class RenditionLedger(Protocol):
    """Which object is which rendition of which. Every method raises LogUnavailableError."""

    async def find(self, source: Digest, rendition: str) -> KeptRendition | None: ...

    async def keep(self, source: Digest, rendition: str, kept: KeptRendition, at: datetime) -> None: ...


class Renditions(Protocol):
    async def of(self, source: Digest, rendition: Rendition) -> KeptRendition | None:
        """An object to hand out in the place of another one. None: that one itself.

        Raises Invalid, TooMany, ObjectMissingError, ObjectsAwayError, LogUnavailableError.
        """
