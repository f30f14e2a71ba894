"""Inputs as routes answer them."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from adapters.http.answers import Cursor, Digest


class InputAnswer(Struct):
    """A picture that was uploaded, encoded anew."""

    id: UUID
    digest: Digest
    name: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    uploaded_at: datetime


class StoredInputAnswer(Struct):
    """`position`: 0 where it was there already."""

    id: UUID
    digest: Digest
    media_type: str
    size_bytes: int
    width: int
    height: int
    position: int


class InputPage(Struct):
    items: list[InputAnswer]
    next_cursor: Cursor
