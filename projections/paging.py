"""Keyset pages: where the next one begins is a word that Postgres makes and only we read."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.refusals import FieldError, Invalid

MAX_LIMIT = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NEWEST = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
"""In front of every row, where the newest come first."""


def page(query: str, cursor: str) -> bytes:
    """Wrap a query of columns `item` (json) and `place` (its cursor), ordered and limited to `limit` + 1 rows.

    Gives `{"items": [...], "next_cursor": ...}` as one document.
    """
    return f"""
SELECT convert_to(json_build_object(
    'items', coalesce(json_agg(item ORDER BY rank) FILTER (WHERE rank <= %(limit)s), '[]'),
    'next_cursor', CASE WHEN count(*) > %(limit)s THEN max({cursor}) FILTER (WHERE rank = %(limit)s) END
)::text, 'UTF8')
FROM (SELECT found.*, row_number() OVER () AS rank FROM ({query}) AS found) AS ranked
""".encode()


TIMED = "(extract(epoch FROM at) * 1000000)::bigint::text || '.' || id"
"""The cursor of rows ordered by `at` and `id`."""


def timed(cursor: str | None) -> tuple[datetime, UUID]:
    """Raises Invalid."""
    if cursor is None:
        return NEWEST
    microseconds, _, id = cursor.partition(".")
    try:
        return _EPOCH + timedelta(microseconds=int(microseconds)), UUID(id)
    except (ValueError, OverflowError) as error:
        raise _unreadable() from error


RANKED = "place || '.' || id"
"""The cursor of rows ordered by a whole number `place` and `id`."""

_BEHIND_ALL = 2**62


def ranked(cursor: str | None) -> tuple[int, UUID]:
    """Raises Invalid."""
    if cursor is None:
        return _BEHIND_ALL, NEWEST[1]
    place, _, id = cursor.partition(".")
    try:
        return numbered(place), UUID(id)
    except ValueError as error:
        raise _unreadable() from error


def lettered(cursor: str | None) -> tuple[str, UUID]:
    """Of rows ordered by a text and `id`, whose cursor is the id, a dot and the text. Raises Invalid."""
    if cursor is None:
        return "", UUID(int=0)
    id, _, text = cursor.partition(".")
    if "\0" in text:
        raise _unreadable()
    try:
        return text, UUID(id)
    except ValueError as error:
        raise _unreadable() from error


def named(cursor: str | None) -> tuple[int, str]:
    """The cursor of rows ordered by a whole number, the most first, and a name. Raises Invalid."""
    if cursor is None:
        return _BEHIND_ALL, ""
    place, dot, name = cursor.partition(".")
    if not dot or "\0" in name:
        raise _unreadable()
    return numbered(place), name


def numbered(cursor: str | None, first: int = 0) -> int:
    """Raises Invalid."""
    if cursor is None:
        return first
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise _unreadable()
    return int(cursor)


def bounded(limit: int) -> int:
    """Raises Invalid."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid("The page size is out of range.", FieldError("limit", f"It must be 1 to {MAX_LIMIT}."))
    return limit


def _unreadable() -> Invalid:
    return Invalid("The cursor is not one of ours.", FieldError("cursor", "Take it from `next_cursor`."))
