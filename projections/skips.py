"""Which events a read model leaves out: what the log says, by decision of an administrator."""

from typing import Any

from psycopg import AsyncConnection

from domain.catalogue import CATALOGUE
from domain.ids import projection_id
from domain.projection import PROJECTION, ReadModel

_DECIDED = b"SELECT topic, state FROM log.events WHERE originator_id = %s ORDER BY originator_version"


async def skipped(connection: AsyncConnection[Any], name: str) -> frozenset[int]:
    """Positions. Asked before each build and each following: there are few, and they are found by key."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(_DECIDED, (projection_id(name),))
    events = [CATALOGUE.decode(topic, state) for topic, state in await cursor.fetchall()]
    model: ReadModel = PROJECTION.fold(PROJECTION.initial, events)  # type: ignore[arg-type]  # its own stream's
    return frozenset(model.skipped)
