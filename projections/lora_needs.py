"""Which LoRA files are needed by runs that are not over: asked past row-level security, before one is removed."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from domain.event import topic
from domain.ids import AccountId, Digest, Position
from domain.run import RunSubmitted, Status
from projections.pages import Connect

_REACHED = b"SELECT FROM work.projections WHERE name = 'run_status' AND state = 'live' AND position >= %s"
# What a run needs is in its first event, by file names that hold the digest.
_NEEDED = b"""
SELECT FROM read.runs AS run JOIN log.events AS submitted ON submitted.originator_id = run.id
WHERE run.status = ANY (%s) AND submitted.topic = %s AND position(convert_to(%s, 'UTF8') IN submitted.state) > 0
LIMIT 1
"""
_SHELVES = b"SELECT DISTINCT owner FROM read.loras ORDER BY owner"


class LoraNeeds:
    """Over one connection that is renewed when lost. Every method raises psycopg.OperationalError."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> "LoraNeeds":
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def need(self, digest: Digest, head: Position) -> bool:
        if not await self._fetch(_REACHED, (head,)):
            return True
        values = ([Status.QUEUED, Status.RUNNING], topic(RunSubmitted), digest)
        return bool(await self._fetch(_NEEDED, values))

    async def shelves(self) -> Sequence[AccountId]:
        return [AccountId(owner) for (owner,) in await self._fetch(_SHELVES, ())]

    async def _fetch(self, query: bytes, values: Any) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await self._connect()
        return await (await self._connection.execute(query, values)).fetchall()
