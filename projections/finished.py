"""Runs that are over: asked past row-level security, to put them away."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from domain.ids import AccountId, Position, RunId
from domain.queue import QueueCleaned
from projections.pages import Connect

PAGE = 500

_REACHED = b"""
SELECT count(*) = 1 FROM work.projections WHERE name = 'run_status' AND state = 'live' AND position >= %s
"""
_RUNS = b"""
SELECT id, owner FROM read.runs WHERE id > %s AND status = ANY (%s) AND ended_at < %s ORDER BY id LIMIT %s
"""


class FinishedRuns:
    """Over one connection that is renewed when lost. Every method raises psycopg.OperationalError."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> "FinishedRuns":
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def reached(self, position: Position) -> bool:
        ((there,),) = await self._fetch(_REACHED, (position,))
        return bool(there)

    async def runs(self, cleaned: QueueCleaned, after: UUID) -> list[tuple[RunId, AccountId]]:
        values = (after, list(cleaned.states), cleaned.before, PAGE)
        return [(RunId(id), AccountId(owner)) for id, owner in await self._fetch(_RUNS, values)]

    async def _fetch(self, query: bytes, values: Any) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await self._connect()
        return await (await self._connection.execute(query, values)).fetchall()
