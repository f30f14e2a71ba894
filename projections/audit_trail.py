"""The audit trail: every event as it was recorded, for the one whose thing it happened to, and for administrators."""

from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict

from domain.catalogue import CATALOGUE
from domain.event import STAFF, AnyRecorded, kind, topic
from domain.ids import StreamId
from domain.personal import closed
from domain.refusals import FieldError, Invalid
from projections.paging import STRETCH, bounded, numbered, page, walk
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one, planned_anew


class AuditRow(Struct):
    """`data`: the event's fields as JSON, its topic among them; personal ones as they are sealed."""

    position: int
    stream: UUID
    kind: str
    topic: str
    version: int
    owner: UUID | None
    actor: str
    at: datetime
    correlation: UUID
    causation: int | None
    data: Raw


TRAIL = Table("audit_trail", AuditRow, ("position",), grows_only=True)

_encode = msgspec.json.Encoder().encode


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    event = recorded.event
    name = topic(event)
    if (personal := CATALOGUE.personal.get(type(event))) is not None:
        event = closed(event, personal)  # one of before there were keys stands in the clear in the log
    buffer["audit_trail"].put(
        AuditRow(
            recorded.position,
            recorded.stream,
            kind(name),
            name,
            recorded.version,
            recorded.owner,
            recorded.actor,
            recorded.at,
            recorded.correlation,
            recorded.causation,
            Raw(_encode(event)),
        )
    )


AUDIT_TRAIL = Projection(
    name="audit_trail",
    version=3,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(TRAIL,),
    fold=fold,
    unhurried=True,
)

_STAFFS = "actor <> owner::text AND actor ~ '^[0-9a-f-]{36}$'"  # as domain.event.is_staffs
_OF_STREAM = page(
    f"""SELECT json_build_object('position', position, 'topic', topic, 'version', version,
        'actor', CASE WHEN {_STAFFS} THEN '{STAFF}' ELSE actor END, 'at', at, 'correlation', correlation,
        'causation', causation, 'data', CASE WHEN {_STAFFS} THEN data - 'by' ELSE data END - 'topic') AS item, position
    FROM read.audit_trail
    WHERE stream = %(stream)s AND position > %(after)s AND kind = %(kind)s
    ORDER BY position LIMIT %(limit)s::int + 1""",
    "position",
)


async def history(cursor: Cursor, stream: StreamId, kind: str, limit: int, after: str | None = None) -> bytes:
    """What happened to one's own thing of a kind (`run`, `workflow`), in order. Raises Invalid."""
    parameters = {"stream": stream, "kind": kind, "after": numbered(after), "limit": bounded(limit)}
    return await one(cursor, _OF_STREAM, parameters) or b""


class EventFilters(Struct, frozen=True, kw_only=True):
    """None: whichever. `after`, `before`: positions, themselves left out; `since`, `until`: the first, not the last."""

    topic: str | None = None
    kind: str | None = None
    stream: UUID | None = None
    owner: UUID | None = None
    actor: str | None = None
    correlation: UUID | None = None
    after: int | None = None
    before: int | None = None
    since: datetime | None = None
    until: datetime | None = None


MAX_WORD = 200
TOGETHER = 500
_LAST = 2**62
_EVENT = """json_build_object('position', position, 'stream', stream, 'kind', kind, 'topic', topic,
    'version', version, 'owner', owner, 'actor', actor, 'at', at, 'correlation', correlation,
    'causation', causation, 'data', data - 'topic')"""


def _before(instant: str) -> str:
    """The last position before an instant: times never go back, so that halving finds it."""
    return f"""(
    WITH RECURSIVE search (low, high) AS (
        SELECT 0::bigint, (SELECT coalesce(max(position), 0) FROM read.audit_trail)
        UNION ALL
        SELECT CASE WHEN seen.earlier THEN middle ELSE low END, CASE WHEN seen.earlier THEN high ELSE middle - 1 END
        FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM search WHERE low < high) AS half
        CROSS JOIN LATERAL (
            SELECT coalesce(bool_and(at < %({instant})s), true) AS earlier
            FROM read.audit_trail WHERE position = middle
        ) AS seen
    )
    SELECT low FROM search WHERE low = high
)"""


# found along an index; the others are looked for on the way
_ALONG = {
    "stream": "stream = %(stream)s",
    "correlation": "correlation = %(correlation)s",
    "after": "position > %(after)s",
    "before": "position < %(before)s",
    "since": f"position > {_before('since')}",
    "until": f"position <= {_before('until')}",
}
_LOOKED_FOR = {name: f"{name} = %({name})s" for name in ("topic", "kind", "owner", "actor")}


@lru_cache(maxsize=256)
def _events(asked: frozenset[str], oldest_first: bool) -> bytes:
    """Of the filters that are used."""
    order, beyond = ("position", ">") if oldest_first else ("position DESC", "<")
    along = "".join(f" AND {_ALONG[name]}" for name in sorted(asked & _ALONG.keys()))
    rest = "".join(f" AND {_LOOKED_FOR[name]}" for name in sorted(asked & _LOOKED_FOR.keys()))
    source = f"FROM read.audit_trail WHERE position {beyond} %(beyond)s{along} ORDER BY {order}"
    return walk(
        f"""SELECT {_EVENT} AS item, position FROM (SELECT * {source} LIMIT {STRETCH}) AS event
        WHERE true{rest} ORDER BY {order} LIMIT %(limit)s::int + 1""",
        "position::text",
        f"SELECT position {source}",
    )


# What caused it, the first first; what it caused, and everything else that came of the same request.
_ONE = f"""WITH RECURSIVE asked AS (
    SELECT * FROM read.audit_trail WHERE position = %(position)s
), cause AS (
    SELECT earlier.* FROM read.audit_trail AS earlier JOIN asked ON earlier.position = asked.causation
    UNION
    SELECT earlier.* FROM read.audit_trail AS earlier JOIN cause ON earlier.position = cause.causation
    WHERE cause.causation < cause.position
), together AS MATERIALIZED (
    SELECT * FROM read.audit_trail WHERE correlation = (SELECT correlation FROM asked)
    ORDER BY position LIMIT %(most)s
), effect AS (
    SELECT later.position FROM together AS later WHERE later.causation = %(position)s
    UNION
    SELECT later.position FROM together AS later JOIN effect ON later.causation = effect.position
)
SELECT convert_to(json_build_object('event', (SELECT {_EVENT} FROM asked),
    'causes', (SELECT coalesce(json_agg({_EVENT} ORDER BY position), '[]') FROM cause),
    'effects', (
        SELECT coalesce(json_agg({_EVENT} ORDER BY position), '[]') FROM together
        WHERE position IN (SELECT position FROM effect)
    ), 'together', (SELECT coalesce(json_agg({_EVENT} ORDER BY position), '[]') FROM together)
)::text, 'UTF8') FROM asked""".encode()


async def events(
    cursor: Cursor,
    limit: int,
    after: str | None = None,
    *,
    filters: EventFilters = EventFilters(),
    oldest_first: bool = False,
) -> bytes:
    """Of all that happened, for administrators. Raises Invalid."""
    used: dict[str, Any] = {name: value for name, value in asdict(filters).items() if value is not None}
    for name, value in used.items():
        if isinstance(value, str) and (not value or len(value) > MAX_WORD or "\0" in value):
            raise Invalid("There is no such event.", FieldError(name, f"1 to {MAX_WORD} characters, no NUL."))
        if isinstance(value, int) and not 0 <= value < _LAST:
            raise Invalid("There is no such event.", FieldError(name, "It is no position of a log."))
    beyond = numbered(after, 0 if oldest_first else _LAST)
    asked = used | {"beyond": beyond, "limit": bounded(limit)}
    await planned_anew(cursor)  # a stream and a request are found by what they are
    return await one(cursor, _events(frozenset(used), oldest_first), asked) or b""


async def event(cursor: Cursor, position: int) -> bytes | None:
    """One of them with its causes and effects, and what came of the same request: at most `TOGETHER` events."""
    if not 0 < position < _LAST:
        return None
    await planned_anew(cursor)
    return await one(cursor, _ONE, {"position": position, "most": TOGETHER})
