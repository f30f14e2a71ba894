"""A public event as outsiders get it: a CloudEvent 1.0 in structured JSON, the same over NATS, webhooks and HTTP."""

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.event import AnyRecorded
from domain.public import public
from domain.public_events import PublicEvent

CONTENT_TYPE = "application/cloudevents+json"


TRIAL = "webhook.test.v1"


class Trial(Struct, frozen=True, kw_only=True):
    """What a webhook is sent when its owner tries it: no event of the log."""

    type: str = TRIAL
    webhook: UUID


class Told(Struct, frozen=True, kw_only=True):
    """`source` names the log, `id` is the position in it: together they name the event for ever."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    data: PublicEvent | Trial


_encode = msgspec.json.Encoder().encode


def told(recorded: AnyRecorded, log: UUID) -> bytes | None:
    """The message; None when the event does not concern outsiders. `log`: the log's identity."""
    event = public(recorded)
    if event is None:
        return None
    return _encode(
        Told(
            id=str(recorded.position),
            source=f"urn:uuid:{log}",
            type=public_type(type(event)),
            subject=str(recorded.stream),
            time=recorded.at,
            data=event,
        )
    )


def trial(webhook: UUID, id: UUID, at: datetime, log: UUID) -> bytes:
    """A message of the same form that tells of nothing but itself."""
    return _encode(
        Told(
            id=str(id),
            source=f"urn:uuid:{log}",
            type=TRIAL,
            subject=str(webhook),
            time=at,
            data=Trial(webhook=webhook),
        )
    )


def message_id(log: UUID, delivery: UUID, position: int) -> str:
    """What names a webhook's message: the event, for ever; or a trial, which has no position."""
    return f"evt_{log.hex}_{position}" if position else f"test_{delivery.hex}"


def public_type(event: type[PublicEvent]) -> str:
    """`run.submitted.v1`: its CloudEvents `type`."""
    return str(event.__struct_config__.tag)
