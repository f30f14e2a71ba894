"""Reading the log, and little else, over a wire of one's own: what is asked a hundred times a second.

The values of a question go out in the form that costs least to write, those of the answer come as psycopg makes them.
"""

import asyncio
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import Format

from adapters.postgres.wire import Wire
from commands.ports import LogUnavailableError

Value: TypeAlias = int | str | UUID | datetime

PATIENCE_S = 5


class Reading:
    """Opened when it is first asked, and anew when it was lost. Questions under way do not wait for one another."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opening = asyncio.Lock()
        self._wire: Wire | None = None
        self._answers = Transformer()

    async def ask(self, statement: bytes, *values: Value) -> list[tuple[Any, ...]]:
        """The rows. Whole numbers are bigint. Raises LogUnavailableError."""
        try:
            wire = await self._opened()
            parameters, formats = zip(*map(_encoded, values), strict=True) if values else ((), ())
            result = await wire.call(statement, parameters, formats)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("The log cannot be read at the moment.") from error
        self._answers.set_pgresult(result)
        return self._answers.load_rows(0, result.ntuples, tuple)

    async def close(self) -> None:
        if self._wire is not None:
            await self._wire.close()

    async def _opened(self) -> Wire:
        if self._wire is not None and not self._wire.is_lost():
            return self._wire
        async with self._opening:
            if self._wire is not None and self._wire.is_lost():
                await self._wire.close()
                self._wire = None
            if self._wire is None:
                connection = await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=PATIENCE_S
                )
                self._answers = Transformer.from_context(connection)
                self._wire = Wire(connection)
            return self._wire


def _encoded(value: Value) -> tuple[bytes, Format]:
    match value:
        case int():
            return value.to_bytes(8, signed=True), Format.BINARY
        case UUID():
            return value.bytes, Format.BINARY
        case datetime():
            return value.isoformat().encode(), Format.TEXT
        case str():
            return value.encode(), Format.TEXT
