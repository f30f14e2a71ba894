"""Which outputs fall under their owner's rule: asked by the owner, and, past row-level security, by who applies it.

Run status has the tables. What is starred counts among all that there is, also where it stays.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from domain.handling import Retention
from domain.ids import AccountId, Position
from projections.pages import Connect

PAGE = 500
SHOWN = 50

GOING = """
WITH own AS (
    SELECT output.id, output.run, output.node, output.index, output.name, output.size_bytes, output.at,
        run.ended_at IS NOT NULL AND NOT (%(keep_starred)s AND output.starred) AS free,
        sum(output.size_bytes) OVER () AS total
    FROM read.outputs AS output JOIN read.runs AS run ON run.id = output.run
    WHERE output.owner = %(owner)s
), going AS (
    SELECT own.*, coalesce(own.at < %(made_before)s::timestamptz, false) AS old,
        coalesce(
            sum(own.size_bytes) OVER (ORDER BY own.at, own.id) - own.size_bytes < own.total - %(most)s::bigint, false
        ) AS beyond
    FROM own WHERE own.free
)
"""
"""Oldest first: what is too old, and, once all are more than `most`, as many as it takes."""

SHOW = f"""{GOING}
SELECT convert_to(json_build_object(
    'outputs', (SELECT count(*) FROM read.outputs WHERE owner = %(owner)s),
    'size_bytes', (SELECT coalesce(sum(size_bytes), 0) FROM read.outputs WHERE owner = %(owner)s),
    'starred', (SELECT count(*) FROM read.outputs WHERE owner = %(owner)s AND starred),
    'going', count(*), 'going_bytes', coalesce(sum(going.size_bytes), 0),
    'first', coalesce((SELECT json_agg(one) FROM (
        SELECT id, run, name, size_bytes, at AS made_at, old FROM going WHERE old OR beyond
        ORDER BY at, id LIMIT {SHOWN}
    ) AS one), '[]')
)::text, 'UTF8') FROM going WHERE old OR beyond
""".encode()
_NEXT = f"""{GOING}
SELECT run, node, index, old FROM going WHERE old OR beyond ORDER BY at, id LIMIT {PAGE}
""".encode()
_REACHED = b"""
SELECT count(*) = 1 FROM work.projections WHERE name = 'run_status' AND state = 'live' AND position >= %s
"""
_EVERYBODY = f"""
SELECT output.owner, handling.retention FROM (
    SELECT DISTINCT owner FROM read.outputs WHERE owner > %(after)s ORDER BY owner LIMIT {PAGE}
) AS output LEFT JOIN read.handling AS handling ON handling.account = output.owner ORDER BY output.owner
""".encode()
_CHOSEN = f"""
SELECT account, retention FROM read.handling WHERE retention IS NOT NULL AND account > %(after)s
ORDER BY account LIMIT {PAGE}
""".encode()


def asked_of(owner: AccountId, retention: Retention, now: datetime) -> dict[str, Any]:
    """The parameters of GOING at an instant."""
    made_before = None if retention.days is None else now - timedelta(days=retention.days)
    return {
        "owner": owner,
        "keep_starred": retention.keep_starred,
        "made_before": made_before,
        "most": retention.size_bytes,
    }


class OutputExpiry:
    """Over one connection that is renewed when lost. Every method raises psycopg.OperationalError."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> "OutputExpiry":
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def reached(self, position: Position) -> bool:
        ((there,),) = await self._fetch(_REACHED, (position,))
        return bool(there)

    async def accounts(self, after: UUID, *, everybody: bool) -> Sequence[tuple[AccountId, Retention | None]]:
        query = _EVERYBODY if everybody else _CHOSEN
        return [
            (AccountId(owner), None if kept is None else msgspec.convert(kept, Retention))
            for owner, kept in await self._fetch(query, {"after": after})
        ]

    async def going(
        self, owner: AccountId, retention: Retention, now: datetime
    ) -> Sequence[tuple[UUID, str, int, bool]]:
        return await self._fetch(_NEXT, asked_of(owner, retention, now))

    async def _fetch(self, query: bytes, values: Any) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await self._connect()
        return await (await self._connection.execute(query, values)).fetchall()
