"""Columns of values as arrays in PostgreSQL's binary form, twice as fast as the driver makes them.

An element is its length as int32 (-1: NULL) and its bytes. Source: PostgreSQL, array_recv.
"""

import struct
import types
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

Elements = list[bytes]
NULL = b"\xff\xff\xff\xff"

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_length = struct.Struct("!i").pack
_bigint = struct.Struct("!iq").pack
_double = struct.Struct("!id").pack
_header = struct.Struct("!iiIii").pack
_json = msgspec.json.Encoder().encode
_TRUE, _FALSE = b"\0\0\0\1\1", b"\0\0\0\1\0"


class Type(Struct, frozen=True):
    """A column type: its name, its oid, and how a column of values is encoded."""

    name: str
    oid: int
    encode: Callable[[Sequence[Any]], Elements]


def _uuids(values: Sequence[UUID | None]) -> Elements:
    return [NULL if v is None else b"\0\0\0\x10" + v.int.to_bytes(16, "big") for v in values]


def _texts(values: Sequence[str | None]) -> Elements:
    return _often_repeated(values, _text)


def _often_repeated(values: Sequence[Any], encode: Callable[[Any], bytes]) -> Elements:
    """Most columns of words and numbers repeat a few."""
    distinct = set(values)
    if len(distinct) < len(values) // 2:
        return list(map({v: encode(v) for v in distinct}.__getitem__, values))
    return list(map(encode, values))


def _text(value: str | None) -> bytes:
    if value is None:
        return NULL
    encoded = value.encode()
    return _length(len(encoded)) + encoded


def _bigints(values: Sequence[int | None]) -> Elements:
    return _often_repeated(values, _integer)


def _integer(value: int | None) -> bytes:
    return NULL if value is None else _bigint(8, value)


def _doubles(values: Sequence[float | None]) -> Elements:
    return [NULL if v is None else _double(8, v) for v in values]


def _booleans(values: Sequence[bool | None]) -> Elements:
    return [NULL if v is None else _TRUE if v else _FALSE for v in values]


def _times(values: Sequence[datetime | None]) -> Elements:
    return [NULL if v is None else _bigint(8, (v - _EPOCH) // _MICROSECOND) for v in values]


def _documents(values: Sequence[Any]) -> Elements:
    encoded = [None if v is None else _json(v) for v in values]
    return [NULL if e is None else _length(len(e) + 1) + b"\1" + e for e in encoded]


UUIDS = Type("uuid", 2950, _uuids)
TEXT = Type("text", 25, _texts)
BIGINT = Type("bigint", 20, _bigints)
DOUBLE = Type("double precision", 701, _doubles)
BOOLEAN = Type("boolean", 16, _booleans)
TIMESTAMPTZ = Type("timestamptz", 1184, _times)
JSONB = Type("jsonb", 3802, _documents)

_SCALARS: dict[Any, Type] = {
    UUID: UUIDS,
    str: TEXT,
    int: BIGINT,
    float: DOUBLE,
    bool: BOOLEAN,
    datetime: TIMESTAMPTZ,
}


def column_type(annotation: Any) -> Type:
    """What a field of a row is stored as. Whatever is not a plain value is a document."""
    if (plain := getattr(annotation, "__supertype__", None)) is not None:  # a NewType
        return column_type(plain)
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        return column_type(inner[0]) if len(inner) == 1 else JSONB
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return TEXT
    if annotation is bytes:
        raise TypeError("A read model keeps no bytes; keep a digest.")
    return _SCALARS.get(annotation, JSONB)


class Packed(bytes):
    """A parameter that is in binary form already; its type is what the statement casts it to."""


class PackedDumper(Dumper):
    format = Format.BINARY
    oid = 0

    def dump(self, obj: Packed) -> Buffer | None:
        return obj


def array(column: Type, elements: Elements) -> Packed:
    if not elements:
        return Packed(struct.pack("!iiI", 0, 0, column.oid))
    return Packed(_header(1, int(NULL in elements), column.oid, len(elements), 1) + b"".join(elements))
