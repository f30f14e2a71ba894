"""PostgreSQL arrays in binary form, built from whole columns.

psycopg's general list dumper takes several times as long.
Wire format: PostgreSQL source, src/backend/utils/adt/arrayfuncs.c, array_recv.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, ClassVar
from uuid import UUID

from psycopg import AsyncConnection, Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

NULL = b"\xff\xff\xff\xff"
_HEADER = Struct("!iiIii")  # dimensions, whether there may be nulls, element type, size, first index
_LENGTH = Struct("!i").pack
_INT4 = Struct("!ii").pack
_INT8 = Struct("!iq").pack
_UUID = _LENGTH(16)


class Array(bytes):
    """An encoded array. `ELEMENT` and `OID` are the types of an element and of the whole."""

    ELEMENT: ClassVar[int]
    OID: ClassVar[int]

    @classmethod
    def of(cls, values: Iterable[Any]) -> "Array":
        return cls.joined(cls.elements(values))

    @classmethod
    def joined(cls, elements: Sequence[bytes]) -> "Array":
        if not elements:
            return cls(_HEADER.pack(0, 0, cls.ELEMENT, 0, 0)[:12])
        return cls(_HEADER.pack(1, 1, cls.ELEMENT, len(elements), 1) + b"".join(elements))

    @staticmethod
    def elements(values: Iterable[Any]) -> list[bytes]:
        """Each as its length and its bytes."""
        raise NotImplementedError


class Integers(Array):
    ELEMENT, OID = 23, 1007

    @staticmethod
    def elements(values: Iterable[int]) -> list[bytes]:
        return [_INT4(4, value) for value in values]


class Bigints(Array):
    ELEMENT, OID = 20, 1016

    @staticmethod
    def elements(values: Iterable[int | None]) -> list[bytes]:
        return [NULL if value is None else _INT8(8, value) for value in values]


class Byteas(Array):
    ELEMENT, OID = 17, 1001

    @staticmethod
    def elements(values: Iterable[bytes]) -> list[bytes]:
        return [_LENGTH(len(value)) + value for value in values]


class Texts(Array):
    ELEMENT, OID = 25, 1009

    @staticmethod
    def elements(values: Iterable[str]) -> list[bytes]:
        return Byteas.elements([value.encode() for value in values])


class Uuids(Array):
    ELEMENT, OID = 2950, 2951

    @staticmethod
    def elements(values: Iterable[UUID | None]) -> list[bytes]:
        return [NULL if value is None else _UUID + value.bytes for value in values]


class Ids(Array):
    """Uuids that are bytes already."""

    ELEMENT, OID = Uuids.ELEMENT, Uuids.OID

    @staticmethod
    def elements(values: Iterable[bytes]) -> list[bytes]:
        return [_UUID + value for value in values]


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer | None:
        return obj


_DUMPERS = {
    array: type(f"{array.__name__}Dumper", (_Dumper,), {"oid": array.OID})
    for array in (Integers, Bigints, Texts, Byteas, Uuids, Ids)
}


def register(connection: AsyncConnection[Any] | Connection[Any]) -> None:
    """Let a connection send arrays."""
    for array, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(array, dumper)
