"""The stream EVENTS of the account FEED: what integrators are told, where a message's sequence is its position too.

Subject: `events.<owner>.<own or public>.<kind>.<stream id>.<the rest of the type>`, so `run.started.v1` is
`events.<account>.own.run.<run>.started.v1`; what everybody may know says `public`. An event that outsiders are not
told of leaves an empty message on the subject `internal`, which nobody may read: so the publisher goes on behind the
last message, is fenced by its number, and a consumer may begin at any position.
"""

from collections.abc import Mapping
from uuid import UUID

from adapters.nats.events import EventsSettings, Publication
from domain.event import kind
from domain.public import public
from domain.public_events import FOR_EVERYBODY
from services.following import recorded_of
from services.ports.relaying import StoredRow
from services.telling import CONTENT_TYPE, public_type, told

INTERNAL = "internal"
ROW = "Comfyplus-Row"
SETTINGS = EventsSettings(max_bytes=8 * 1024**3)


def _message(row: StoredRow, log: UUID) -> tuple[str, bytes, str]:
    """Raises UnknownTopicError, msgspec.ValidationError: nothing is skipped in silence."""
    recorded = recorded_of(row)
    event, body = public(recorded), told(recorded, log)
    if event is None or body is None:
        return INTERNAL, b"", f"{ROW}: {_row(row)}\r\n"
    type_name = public_type(type(event))
    about = kind(type_name)
    reach = "public" if isinstance(event, FOR_EVERYBODY) else "own"
    subject = f"events.{row.owner or 'nobody'}.{reach}.{about}.{row.stream}{type_name[len(about) :]}"
    headers = f"Content-Type: {CONTENT_TYPE}\r\nComfyplus-Position: {row.position}\r\n{ROW}: {_row(row)}\r\n"
    return subject, body, headers


def _same(_: bytes, headers: Mapping[str, str], row: StoredRow, log: UUID) -> bool:
    """Not by the body: a later version of this program may tell more of the same event."""
    return headers.get("Nats-Msg-Id") == f"{log}:{row.position}" and headers.get(ROW) == _row(row)


def _row(row: StoredRow) -> str:
    return f"{row.stream} {row.version} {row.at.isoformat()}"


PUBLIC = Publication(subjects=("events.>", INTERNAL), message=_message, same=_same)
