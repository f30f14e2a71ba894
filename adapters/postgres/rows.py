"""Rows of log.events as recorded events."""

from typing import Any, TypeAlias

from domain.catalogue import CATALOGUE, Catalogue
from domain.event import AnyRecorded, Recorded

COLUMNS = (
    "notification_id, originator_id, originator_version, topic, state, "
    "recorded_at, owner, actor, correlation, causation"
)

EventRow: TypeAlias = tuple[Any, ...]
"""The values of COLUMNS, in that order."""


def recorded(row: EventRow, catalogue: Catalogue = CATALOGUE) -> AnyRecorded:
    """Raises UnknownTopicError, msgspec.ValidationError."""
    position, stream, version, topic, state, at, owner, actor, correlation, causation = row
    return Recorded(
        position=position,
        stream=stream,
        version=version,
        at=at,
        owner=owner,
        actor=actor,
        correlation=correlation,
        causation=causation,
        event=catalogue.decode(topic, state),
    )
