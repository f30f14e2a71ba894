"""What lists are narrowed by: instants, and yes or no."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from litestar.params import QueryParameter

from domain.refusals import FieldError, Invalid

FORMS = "A day (`2026-11-21`) or a time (`2026-11-21T12:00:00Z`), of UTC where it does not say otherwise."
From: TypeAlias = Annotated[
    str | None, QueryParameter(name="from", description=f"Not before then. {FORMS}", examples=[])
]
To: TypeAlias = Annotated[
    str | None, QueryParameter(name="to", description=f"Before then. {FORMS}", examples=[])
]


def instant(field: str, text: str | None) -> datetime | None:
    """Raises Invalid."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid("There is no such time.", FieldError(field, FORMS)) from error
