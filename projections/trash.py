"""What lies in the trash, whosever it is: asked past row-level security, to remove it for good."""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from domain.ids import AccountId, WorkflowId
from projections.pages import Connect

PAGE = 1_000

_THROWN = b"""
SELECT id, owner, revision FROM read.workflows WHERE trashed_at < %s ORDER BY trashed_at, id LIMIT %s
"""


class ThrownAway:
    """Over one connection that is renewed when lost. Every method raises psycopg.OperationalError."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> "ThrownAway":
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def thrown_before(self, at: datetime) -> list[tuple[WorkflowId, AccountId, int]]:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await self._connect()
        rows = await (await self._connection.execute(_THROWN, (at, PAGE))).fetchall()
        return [(WorkflowId(id), AccountId(owner), revision) for id, owner, revision in rows]
