"""PostgreSQL arrays in binary form, built from elements that are encoded one by one.

psycopg's general list dumper takes several times as long, and at each array again.
Wire format: PostgreSQL source, src/backend/utils/adt/arrayfuncs.c, array_recv.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Any, ClassVar
from uuid import UUID

from psycopg import AsyncConnection, Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

NULL = b"\xff\xff\xff\xff"
_HEADER = Struct("!iiIii")  # dimensions, whether there may be nulls, element type, size, first index
_LENGTH = Struct("!i")
_INT4 = Struct("!ii")
_INT8 = Struct("!iq")


class Array(bytes):
    """An encoded array. `ELEMENT` and `OID` are the types of an element and of the whole."""

    ELEMENT: ClassVar[int]
    OID: ClassVar[int]

    @classmethod
    def of(cls, count: int, elements: Sequence[bytes]) -> "Array":
        """`elements` are encoded; one of them may be several already put together."""
        if not count:
            return cls(_HEADER.pack(0, 0, cls.ELEMENT, 0, 0)[:12])
        return cls(_HEADER.pack(1, 1, cls.ELEMENT, count, 1) + b"".join(elements))


class Integers(Array):
    ELEMENT, OID = 23, 1007


class Bigints(Array):
    ELEMENT, OID = 20, 1016


class Texts(Array):
    ELEMENT, OID = 25, 1009


class Byteas(Array):
    ELEMENT, OID = 17, 1001


class Uuids(Array):
    ELEMENT, OID = 2950, 2951


def integer(value: int) -> bytes:
    return _INT4.pack(4, value)


def bigint(value: int | None) -> bytes:
    return NULL if value is None else _INT8.pack(8, value)


def text(value: str) -> bytes:
    return bytea(value.encode())


def bytea(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def uuid(value: UUID | None) -> bytes:
    return NULL if value is None else b"\0\0\0\x10" + value.bytes


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer | None:
        return obj


_DUMPERS = {
    array: type(f"{array.__name__}Dumper", (_Dumper,), {"oid": array.OID})
    for array in (Integers, Bigints, Texts, Byteas, Uuids)
}


def register(connection: AsyncConnection[Any] | Connection[Any]) -> None:
    """Let a connection send arrays."""
    for array, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(array, dumper)
