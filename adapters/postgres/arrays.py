"""Parameters as PostgreSQL arrays in binary form, several times faster than psycopg's general list dumper.

Wire format: PostgreSQL source, src/backend/utils/adt/arrayfuncs.c, array_recv.
"""

from collections.abc import Sequence
from struct import pack
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, PyFormat
from psycopg.pq import Format

_NULL = b"\xff\xff\xff\xff"
_INT4, _INT8, _TEXT, _BYTEA, _UUID = 23, 20, 25, 17, 2950
_ARRAY_OF = {_INT4: 1007, _INT8: 1016, _TEXT: 1009, _BYTEA: 1001, _UUID: 2951}


class Array:
    """An encoded array and the type oid it is sent as."""

    __slots__ = ("body", "oid")

    def __init__(self, element: int, elements: list[bytes]) -> None:
        self.oid = _ARRAY_OF[element]
        if not elements:
            self.body = pack("!iii", 0, 0, element)
            return
        header = pack("!iiiii", 1, int(_NULL in elements), element, len(elements), 1)
        self.body = header + b"".join(elements)


def integers(values: Sequence[int]) -> Array:
    return Array(_INT4, [pack("!ii", 4, value) for value in values])


def bigints(values: Sequence[int | None]) -> Array:
    return Array(_INT8, [_NULL if value is None else pack("!iq", 8, value) for value in values])


def texts(values: Sequence[str]) -> Array:
    return Array(_TEXT, [_sized(value.encode()) for value in values])


def byteas(values: Sequence[bytes]) -> Array:
    return Array(_BYTEA, [_sized(value) for value in values])


def uuids(values: Sequence[UUID | None]) -> Array:
    return Array(_UUID, [_NULL if value is None else b"\0\0\0\x10" + value.bytes for value in values])


def _sized(value: bytes) -> bytes:
    return pack("!i", len(value)) + value


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer | None:
        return obj.body

    def get_key(self, obj: Array, format: PyFormat) -> tuple[type, ...]:
        return (_DUMPERS[obj.oid],)

    def upgrade(self, obj: Array, format: PyFormat) -> Dumper:
        return _DUMPERS[obj.oid](Array)


_DUMPERS: dict[int, type[_Dumper]] = {
    oid: type(f"_Dumper{oid}", (_Dumper,), {"oid": oid}) for oid in _ARRAY_OF.values()
}


def register(connection: AsyncConnection[Any] | Connection[Any]) -> None:
    """Let a connection send arrays."""
    connection.adapters.register_dumper(Array, _Dumper)
