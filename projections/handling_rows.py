"""Tables of run status beside those of the runs: what a run can be found by, and how an account's outputs are handled.

A row of traits is written once: a run's own row is written with each of its events.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded, Event
from domain.handling import RenditionChosen, Retention, RetentionChosen
from domain.ids import AccountId
from domain.rendition import AS_MADE, Rendition
from domain.run import RunDeleted, RunSubmitted
from domain.source import TemplateSource
from projections.projection import Table, by_stream
from projections.rows import Rows


class TraitsRow(Struct, gc=False):
    """Of a run that has any. `models`: as the graph names them, with their folders."""

    id: UUID
    owner: AccountId
    submitted_at: datetime
    template: str | None
    models: tuple[str, ...]
    words: str
    rendition: Rendition | None


class HandlingRow(Struct, gc=False):
    """`rendition`: None: as they were made. `retention`: None: as all have it that chose nothing."""

    account: UUID
    rendition: Rendition | None = None
    retention: Retention | None = None


def _account(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.event.account,)


TRAITS = Table("run_traits", TraitsRow, ("id",), by_stream, frozenset({RunDeleted}))
HANDLING = Table(
    "handling", HandlingRow, ("account",), _account, frozenset({RenditionChosen, RetentionChosen})
)


def fold_traits(recorded: AnyRecorded, traits: Rows[Any]) -> None:
    match recorded.event:
        case RunSubmitted(owner=owner, words=words, rendition=rendition, source=source) as event:
            template = source.template if isinstance(source, TemplateSource) else None
            models = event.requirements.models
            if template is not None or models or words or rendition is not None:
                row = TraitsRow(recorded.stream, owner, recorded.at, template, models, words, rendition)
                traits.put(row)
        case RunDeleted():
            traits.remove(recorded.stream)
        case _:
            pass


def fold_handling(event: Event, rows: Rows[Any]) -> None:
    match event:
        case RenditionChosen(account=account, rendition=rendition):
            row = rows.get(account) or HandlingRow(account)
            row.rendition = None if rendition == AS_MADE else rendition
            rows.put(row)
        case RetentionChosen(account=account, retention=retention):
            row = rows.get(account) or HandlingRow(account)
            row.retention = retention
            rows.put(row)
        case _:
            pass
