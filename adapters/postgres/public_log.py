"""The log as outsiders may read it. A page looks at a bounded stretch of the log, however little of it is told."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg
import psycopg_pool
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.rows import COLUMNS, recorded
from commands.ports import LogUnavailableError
from domain.catalogue import CATALOGUE, UPCASTS
from domain.event import Event, topic
from domain.ids import AccountId, Position
from domain.public import EVERYBODYS, PUBLIC
from services.ports.telling import ToldPage

STRETCH = 10_000  # rows; looked at in some milliseconds

IDENTITY = "SELECT id FROM log.identity"
HEAD = "SELECT coalesce(max(notification_id), 0) FROM log.events"
PAGE = f"""
SELECT {COLUMNS} FROM log.events
WHERE notification_id > %(after)s AND notification_id <= %(upto)s AND topic = ANY(%(topics)s)
    AND (%(account)s::uuid IS NULL OR owner = %(account)s OR topic = ANY(%(everybodys)s))
ORDER BY notification_id LIMIT %(limit)s
"""


class PostgresPublicLog:
    """PublicLog, as comfyplus_app."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._identity: UUID | None = None
        self._topics = _stored(PUBLIC)
        self._everybodys = _stored(EVERYBODYS)

    async def identity(self) -> UUID:
        if self._identity is None:
            ((self._identity,),) = await self._fetch(IDENTITY, {})
        assert self._identity is not None
        return self._identity

    async def page(self, after: Position, limit: int, account: AccountId | None) -> ToldPage:
        ((head,),) = await self._fetch(HEAD, {})
        upto = max(after, min(head, after + STRETCH))
        rows = await self._fetch(
            PAGE,
            {
                "after": after,
                "upto": upto,
                "topics": self._topics,
                "everybodys": self._everybodys,
                "account": account,
                "limit": limit,
            },
        )
        events = [recorded(row) for row in rows]
        return ToldPage(events, events[-1].position if len(events) == limit else Position(upto), head)

    async def _fetch(self, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            async with self._pool.connection() as connection:
                cursor = connection.cursor(row_factory=tuple_row, binary=True)
                return await (await cursor.execute(query.encode(), values)).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
            raise LogUnavailableError("The log cannot be read at the moment.") from error


def _stored(events: Iterable[type[Event]]) -> list[str]:
    """The topics that are read as these events, the older ones too."""
    names = {topic(event) for event in events}
    for older in UPCASTS:
        newer = older
        while newer in UPCASTS:
            newer, _ = UPCASTS[newer]
        if newer in names and newer in CATALOGUE.events:
            names.add(older)
    return sorted(names)
