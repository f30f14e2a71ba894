"""What of an account is in the read models: asked as their owner, past row-level security, to remove it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from domain.account import AccountErased
from domain.catalogue import CATALOGUE
from domain.event import topic
from domain.ids import AccountId, Digest, Position, RunId, WorkflowId
from domain.run import OutputStored, Status
from projections.pages import Connect

PAGE = 2_000  # runs at once; what others need is looked up once for each page, through all outputs there are

_REACHED = b"""
SELECT count(*) = 2 FROM work.projections
WHERE name IN ('run_status', 'workflow_shelf') AND state = 'live' AND position >= %s
"""
_UNFINISHED = (
    b"SELECT id FROM read.runs WHERE owner = %s AND status = ANY (%s) ORDER BY submitted_at LIMIT 10000"
)
_WORKFLOWS = b"SELECT id FROM read.workflows WHERE owner = %s AND (NOT public OR %s) ORDER BY id LIMIT 10000"
_RUNS = b"SELECT id FROM read.runs WHERE owner = %s AND id > %s ORDER BY id LIMIT %s"
_STORED = b"SELECT topic, state FROM log.events WHERE originator_id = ANY (%s) AND topic = %s"
# One whose account was erased as well needs nothing any more.
_NEEDED = b"""
SELECT DISTINCT needed.digest
FROM (
    SELECT digest, owner FROM read.outputs WHERE digest = ANY (%(digests)s)
    UNION ALL
    SELECT small.digest, stored.owner FROM read.outputs AS stored
    CROSS JOIN LATERAL jsonb_to_recordset(stored.thumbnails) AS small (digest text)
    WHERE small.digest = ANY (%(digests)s)
) AS needed
WHERE needed.owner <> %(account)s AND NOT EXISTS (
    SELECT FROM log.events AS e WHERE e.originator_id = needed.owner AND e.topic = %(erased)s
)
"""


class AccountBelongings:
    """Over one connection that is renewed when lost. Every method raises psycopg.OperationalError."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> "AccountBelongings":
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def reached(self, position: Position) -> bool:
        ((there,),) = await self._fetch(_REACHED, (position,))
        return bool(there)

    async def unfinished_runs(self, account: AccountId) -> list[RunId]:
        return [
            RunId(id) for (id,) in await self._fetch(_UNFINISHED, (account, [Status.QUEUED, Status.RUNNING]))
        ]

    async def workflows(self, account: AccountId, *, published: bool) -> list[WorkflowId]:
        return [WorkflowId(id) for (id,) in await self._fetch(_WORKFLOWS, (account, published))]

    async def objects(self, account: AccountId) -> AsyncIterator[Sequence[Digest]]:
        """Pages of digests of everything stored in the account's runs that no other account needs."""
        after = UUID(int=0)
        while runs := [id for (id,) in await self._fetch(_RUNS, (account, after, PAGE))]:
            after = runs[-1]
            digests = await self._stored(runs)
            asked = {"digests": sorted(digests), "account": account, "erased": topic(AccountErased)}
            yield sorted(digests - {needed for (needed,) in await self._fetch(_NEEDED, asked)})

    async def _stored(self, runs: Sequence[UUID]) -> set[Digest]:
        """From the log: the read model forgets what a lost attempt has stored."""
        found: set[Digest] = set()
        for name, state in await self._fetch(_STORED, (runs, topic(OutputStored))):
            event = CATALOGUE.decode(name, state)
            if isinstance(event, OutputStored):
                found |= {event.output.digest, *(small.digest for small in event.output.thumbnails)}
        return found

    async def _fetch(self, query: bytes, values: Any) -> list[tuple[Any, ...]]:
        """Raises psycopg.OperationalError."""
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await self._connect()
        return await (await self._connection.execute(query, values)).fetchall()
