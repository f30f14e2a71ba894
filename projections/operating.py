"""What those who operate the whole see of the read models: builds, lag, size, and events that stand in the way."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.rows import class_row

from projections import jobs
from projections.jobs import Job
from projections.projection import Projection
from projections.skips import skipped


class Build(Struct, frozen=True, kw_only=True):
    """One build of a read model. `lag`: events it has not passed. `skipped`: positions that it has left out."""

    name: str
    generation: int
    version: int
    state: str
    position: int
    lag: int
    size_bytes: int
    skipped: Sequence[int]
    parked_position: int | None
    parked_reason: str | None
    updated_at: datetime


class Overview(Struct, frozen=True, kw_only=True):
    """A read model. `state`: live, parked, outdated (another version than this program's is live) or missing.

    `version` is this program's; `live` is what readers see; `builds` are all there are, the newest first.
    """

    name: str
    version: int
    state: str
    live: Build | None
    builds: list[Build]
    job: Job | None


class ParkedEvent(Struct, frozen=True, kw_only=True):
    """An event that a read model does not take in. `rebuild`: it stopped a new build, the live one goes on.

    `stored`: the very bytes of the log.
    """

    projection: str
    position: int
    reason: str
    rebuild: bool
    topic: str
    stream: UUID
    version: int
    at: datetime
    actor: str
    stored: bytes


_BUILDS = b"""
SELECT build.name, build.generation, build.version, build.state, build.position,
    greatest(head.position - build.position, 0) AS lag, coalesce(size.bytes, 0)::bigint AS size_bytes,
    build.skipped, build.parked_position, build.parked_reason, build.updated_at
FROM work.projections AS build
CROSS JOIN (SELECT coalesce(max(notification_id), 0) AS position FROM log.events) AS head
LEFT JOIN LATERAL (
    SELECT sum(pg_total_relation_size(stored.oid)) AS bytes
    FROM pg_class AS stored JOIN pg_namespace AS schema ON schema.oid = stored.relnamespace
    WHERE schema.nspname = build.name || '_g' || build.generation AND stored.relkind = 'r'
) AS size ON true
ORDER BY build.name, build.generation DESC
"""
_PARKED = b"""
SELECT parked.name AS projection, parked.position, parked.reason, parked.rebuild, event.topic,
    event.originator_id AS stream, event.originator_version AS version, event.recorded_at AS at, event.actor,
    event.state AS stored
FROM (
    SELECT name, parked_position AS position, coalesce(parked_reason, '') AS reason, false AS rebuild
    FROM work.projections WHERE state = 'live' AND parked_position IS NOT NULL
    UNION ALL
    SELECT name, parked_position, coalesce(fault, ''), true FROM (
        SELECT DISTINCT ON (name) name, state, parked_position, fault
        FROM work.rebuilds ORDER BY name, asked_at DESC, id
    ) AS latest WHERE state = 'failed' AND parked_position IS NOT NULL
) AS parked
JOIN log.events AS event ON event.notification_id = parked.position
ORDER BY parked.name, parked.position, parked.rebuild
"""


async def overview(connection: AsyncConnection[Any], models: Mapping[str, Projection]) -> list[Overview]:
    """Of the read models of this program, by name."""
    cursor = connection.cursor(row_factory=class_row(Build))
    rows = await (await cursor.execute(_BUILDS)).fetchall()
    builds = {name: list(group) for name, group in groupby(rows, lambda build: build.name)}
    open_jobs = {job.name: job for job in await jobs.open_jobs(connection)}
    return [
        _overview(projection, builds.get(name, []), open_jobs.get(name))
        for name, projection in sorted(models.items())
    ]


async def parked(connection: AsyncConnection[Any]) -> list[ParkedEvent]:
    """What stands in the way of a live build, or stopped the last rebuild. What is left out does so no more."""
    cursor = connection.cursor(row_factory=class_row(ParkedEvent))
    found = await (await cursor.execute(_PARKED)).fetchall()
    skips = {name: await skipped(connection, name) for name in {each.projection for each in found}}
    return list(_once(each for each in found if each.position not in skips[each.projection]))


def _once(found: Iterator[ParkedEvent]) -> Iterator[ParkedEvent]:
    """The live build comes first; the same event in a rebuild is nothing new."""
    for _, group in groupby(found, lambda each: (each.projection, each.position)):
        yield next(group)


def _overview(projection: Projection, builds: list[Build], job: Job | None) -> Overview:
    live = next((build for build in builds if build.state == "live"), None)
    if live is None:
        state = "missing"
    elif live.parked_position is not None:
        state = "parked"
    else:
        state = "live" if live.version == projection.version else "outdated"
    return Overview(
        name=projection.name, version=projection.version, state=state, live=live, builds=builds, job=job
    )
