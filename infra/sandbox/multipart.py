"""The fields of a multipart form, read the forgiving way the original does."""

import re

from msgspec import Struct


class Field(Struct, frozen=True):
    """`filename` None: a text field."""

    value: bytes
    filename: str | None


MAX_BOUNDARY = 70
_NAME = re.compile(r'[; ]name="((?:[^"\\]|\\.)*)"')
_FILENAME = re.compile(r'filename="((?:[^"\\]|\\.)*)"')


def fields(body: bytes, content_type: str) -> dict[str, Field]:
    """By name; empty where the body is no multipart form. Raises ValueError where aiohttp does."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if not content_type.startswith("multipart/form-data") or not found:
        return {}
    if len(found.group(1)) > MAX_BOUNDARY:
        raise ValueError("The boundary is too long.")
    known = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + found.group(1).encode())[1:]:
        head, separator, value = part.partition(b"\r\n\r\n")
        headers = head.decode("utf-8", "replace")
        name = _NAME.search(headers)
        if separator and name:
            filename = _FILENAME.search(headers)
            known[name.group(1)] = Field(value, filename.group(1) if filename else None)
    return known
