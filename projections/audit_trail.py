"""The audit trail: every event as it was recorded, for the one whose thing it happened to."""

from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from domain.catalogue import CATALOGUE
from domain.event import AnyRecorded, kind, topic
from domain.ids import StreamId
from domain.personal import closed
from projections.paging import bounded, numbered, page
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one


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
    version=2,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(TRAIL,),
    fold=fold,
    unhurried=True,
)

_OF_STREAM = page(
    """SELECT json_build_object('position', position, 'topic', topic, 'version', version, 'actor', actor,
        'at', at, 'correlation', correlation, 'causation', causation, 'data', data - 'topic') AS item, position
    FROM read.audit_trail
    WHERE stream = %(stream)s AND position > %(after)s AND kind = %(kind)s
    ORDER BY position LIMIT %(limit)s::int + 1""",
    "position",
)


async def history(cursor: Cursor, stream: StreamId, kind: str, limit: int, after: str | None = None) -> bytes:
    """What happened to one's own thing of a kind (`run`, `workflow`), in order. Raises Invalid."""
    parameters = {"stream": stream, "kind": kind, "after": numbered(after), "limit": bounded(limit)}
    return await one(cursor, _OF_STREAM, parameters) or b""
