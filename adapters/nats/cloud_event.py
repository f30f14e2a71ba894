"""The log's rows as CloudEvents 1.0, structured JSON: what every message of the stream EVENTS holds.

`position` and `causation` are strings because a CloudEvents integer ends at 2^31.
"""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from domain.catalogue import CATALOGUE, Catalogue, UnknownTopicError
from domain.event import AnyRecorded, Event, Recorded
from domain.ids import AccountId, Actor, Position
from projections.projection import Undecodable
from services.ports.relaying import StoredRow

CONTENT_TYPE = "application/cloudevents+json"


class CloudEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    specversion: str
    id: str
    source: str
    type: str
    subject: UUID
    time: datetime
    datacontenttype: str
    actor: str
    correlation: UUID
    streamversion: int
    position: str
    causation: str | None = None
    owner: UUID | None = None
    data: Raw


class ForeignMessageError(Exception):
    """Something stands in the stream that the relay did not put there."""


class OtherLogError(ForeignMessageError):
    """The stream tells the story of another log, as it does after a restore until the relay makes it anew."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CloudEvent).decode


@lru_cache(maxsize=4)
def source(log: UUID) -> str:
    """The log as a CloudEvents source: with the id it names an event for ever."""
    return f"urn:uuid:{log}"


def encode(row: StoredRow, log_source: str) -> bytes:
    position = str(row.position)
    return _encode(
        CloudEvent(
            specversion="1.0",
            id=position,
            source=log_source,
            type=row.topic,
            subject=row.stream,
            time=row.at,
            datacontenttype="application/json",
            actor=row.actor,
            correlation=row.correlation,
            streamversion=row.version,
            position=position,
            causation=None if row.causation is None else str(row.causation),
            owner=row.owner,
            data=Raw(row.state),
        )
    )


def decode(
    body: bytes, sequence: int | None, catalogue: Catalogue = CATALOGUE, log_source: str | None = None
) -> AnyRecorded:
    """An event this program cannot read is Undecodable. Raises ForeignMessageError.

    `sequence` is the message's place in the stream; None where it came without one. `log_source`: the only log
    whose events are taken; None for any.
    """
    try:
        envelope = _decode(body)
        position = int(envelope.id)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ForeignMessageError(f"The message {sequence} is no event of the log: {error}") from error
    if position != (sequence or position):
        raise ForeignMessageError(f"The message {sequence} is the event {position} at a wrong place.")
    if log_source not in (None, envelope.source):
        raise ForeignMessageError(
            f"The message {sequence} is of the log {envelope.source}, not of {log_source}."
        )
    return Recorded(
        position=Position(position),
        stream=envelope.subject,
        version=envelope.streamversion,
        at=envelope.time,
        owner=None if envelope.owner is None else AccountId(envelope.owner),
        actor=Actor(envelope.actor),
        correlation=envelope.correlation,
        causation=None if envelope.causation is None else Position(int(envelope.causation)),
        event=_event(envelope, catalogue),
    )


def _event(envelope: CloudEvent, catalogue: Catalogue) -> Event:
    try:
        return catalogue.decode(envelope.type, bytes(envelope.data))
    except (msgspec.MsgspecError, UnknownTopicError) as error:
        return Undecodable(topic_name=envelope.type, reason=str(error))
