"""The statements of one table of one generation: load by key, upsert, delete, COPY."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import astuple
from psycopg import AsyncConnection
from psycopg.types.json import set_json_dumps

from projections.projection import Table
from projections.rows import Key
from projections.wire import Elements, Packed, PackedDumper, array, column_type

R = TypeVar("R", bound=Struct)
Statement: TypeAlias = tuple[bytes, list[Packed]]
"""A change of rows, and its parameters. It is part of a statement in which `moved` has a row if it is to happen."""

AT_ONCE = 250  # rows encoded: they fit the processor's cache, which halves the time a row takes


class StoredTable(Generic[R]):
    """A table in the schema of one generation."""

    def __init__(self, table: Table[R], schema: str) -> None:
        self.table = table
        fields = msgspec.structs.fields(table.row)
        self.columns = tuple(field.name for field in fields)
        self._types = tuple(column_type(field.type) for field in fields)
        by_name = dict(zip(self.columns, self._types, strict=True))
        self._key_types = tuple(by_name[name] for name in table.key)
        self._decode = msgspec.json.Decoder(list[table.row]).decode  # type: ignore[name-defined]
        target, names, key = f"{schema}.{table.name}", ", ".join(self.columns), ", ".join(table.key)
        group = table.key[0]
        arrays = ", ".join(f"%s::{kind.name}[]" for kind in self._types)
        key_arrays = ", ".join(f"%s::{kind.name}[]" for kind in self._key_types)
        changes = ", ".join(f"{name} = excluded.{name}" for name in self.columns if name not in table.key)
        self._load = (
            f"SELECT convert_to(coalesce(json_agg(stored), '[]')::text, 'UTF8') FROM (SELECT {names} "
            f"FROM {target} WHERE {group} = ANY (%s::{self._key_types[0].name}[])) AS stored"
        ).encode()
        self._upsert = (
            f"INSERT INTO {target} ({names}) SELECT {names} FROM unnest({arrays}) AS changed ({names}) "
            f"WHERE EXISTS (SELECT FROM moved) ON CONFLICT ({key}) DO "
            + (f"UPDATE SET {changes}" if changes else "NOTHING")
        ).encode()
        same = " AND ".join(f"stored.{name} = gone.{name}" for name in table.key)
        self._delete = (
            f"DELETE FROM {target} AS stored USING unnest({key_arrays}) AS gone ({key}) "
            f"WHERE {same} AND EXISTS (SELECT FROM moved)"
        ).encode()
        self._copy = f"COPY {target} ({names}) FROM STDIN (FORMAT binary)".encode()

    async def load(self, connection: AsyncConnection[Any], groups: Sequence[Any]) -> list[R]:
        """All rows whose key begins with one of the values."""
        cursor = connection.cursor(binary=True)
        kind = self._key_types[0]
        await cursor.execute(self._load, (array(kind, kind.encode(groups)),))
        ((found,),) = await cursor.fetchall()
        return self._decode(found)

    def upserting(self, rows: Sequence[R]) -> Statement:
        """Insert or replace."""
        columns: list[Elements] = [[] for _ in self._types]
        for start in range(0, len(rows), AT_ONCE):
            for column, elements in zip(columns, self._encoded(rows[start : start + AT_ONCE]), strict=True):
                column += elements
        return self._upsert, [array(kind, column) for kind, column in zip(self._types, columns, strict=True)]

    def deleting(self, keys: Sequence[Key]) -> Statement:
        columns = list(zip(*keys, strict=True)) if len(self._key_types) > 1 else [keys]
        return self._delete, [
            array(kind, kind.encode(values)) for kind, values in zip(self._key_types, columns, strict=True)
        ]

    async def copy(self, connection: AsyncConnection[Any], rows: Iterable[R]) -> None:
        """Add rows that are not there yet, fast."""
        async with connection.cursor().copy(self._copy) as copy:
            copy.set_types([kind.oid for kind in self._types])
            for row in rows:
                await copy.write_row(astuple(row))

    def _encoded(self, rows: Sequence[R]) -> list[Elements]:
        columns = zip(self._types, zip(*map(astuple, rows), strict=True), strict=True)
        return [kind.encode(values) for kind, values in columns]


async def prepare(connection: AsyncConnection[Any]) -> None:
    """Let a connection write read models.

    A commit that a crash of Postgres takes back takes rows and checkpoint back together, and they are folded
    again: there is nothing to wait for.
    """
    connection.adapters.register_dumper(Packed, PackedDumper)
    set_json_dumps(msgspec.json.encode, connection)
    connection.prepare_threshold = 2
    await connection.execute(b"SET synchronous_commit TO off")
