"""What a read model would have shown of one thing, from its events alone."""

from collections.abc import Sequence
from typing import Any

from domain.event import AnyRecorded
from projections.projection import Projection
from projections.writer import empty


def rows(projection: Projection, events: Sequence[AnyRecorded]) -> dict[str, list[Any]]:
    """The rows of each table, by its name, after all events of the one thing up to some moment."""
    buffer = empty(projection, whole=True)
    for recorded in events:
        projection.fold(recorded, buffer)
    return {name: list(table.everything()) for name, table in buffer.items()}
