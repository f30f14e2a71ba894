"""Keyset pages: where the next one begins is a word that Postgres makes and only we read."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.refusals import FieldError, Invalid

MAX_LIMIT = 200
STRETCH = 5_000  # rows that a page looks at along its order, however few of them it finds; some milliseconds
WEIGHED = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NEWEST = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
"""In front of every row, where the newest come first."""


def page(query: str, cursor: str) -> bytes:
    """Wrap a query of columns `item` (json) and `place` (its cursor), ordered and limited to `limit` + 1 rows.

    Gives `{"items": [...], "next_cursor": ...}` as one document. Postgres takes a limit that it does not know for a
    tenth of all there is; so it is told the largest.
    """
    few = f"SELECT * FROM ({query}) AS found LIMIT {MAX_LIMIT + 1}"
    return f"""
SELECT convert_to(json_build_object(
    'items', coalesce(json_agg(item ORDER BY rank) FILTER (WHERE rank <= %(limit)s), '[]'),
    'next_cursor', CASE WHEN count(*) > %(limit)s THEN max({cursor}) FILTER (WHERE rank = %(limit)s) END
)::text, 'UTF8')
FROM (SELECT few.*, row_number() OVER () AS rank FROM ({few}) AS few) AS ranked
""".encode()


def weighed(query: str, place: str) -> str:
    """A page of a query of what some words are in, ordered by its columns `place` and `id`, the greatest first.

    Planned for far more rows than a page has: few may have the words. To look those up costs little, while to walk
    along the order until a page of them is found would be to read it to its end.
    """
    order = f"{place} DESC, id DESC"
    return f"""WITH weighed AS MATERIALIZED (SELECT * FROM ({query}) AS found ORDER BY {order} LIMIT {WEIGHED})
        SELECT * FROM weighed ORDER BY {order} LIMIT %(limit)s::int + 1"""


def walk(query: str, cursor: str, edge: str) -> bytes:
    """As `page`, of a query that looks at a stretch of `STRETCH` rows and finds perhaps none in them.

    `edge`: a query of the last row of the stretch, if it is a whole one. The next page goes on behind it, so that
    whoever asks on finds everything, and no single page takes long.
    """
    return f"""
SELECT convert_to(json_build_object(
    'items', coalesce(json_agg(item ORDER BY rank) FILTER (WHERE rank <= %(limit)s), '[]'),
    'next_cursor', CASE WHEN count(*) > %(limit)s THEN max({cursor}) FILTER (WHERE rank = %(limit)s)
        ELSE (SELECT {cursor} FROM ({edge} OFFSET {STRETCH - 1} LIMIT 1) AS edge) END
)::text, 'UTF8')
FROM (SELECT found.*, row_number() OVER () AS rank FROM ({query}) AS found) AS ranked
""".encode()


def shelved(table: str, item: str, shelves: Sequence[str], wanted: str, *, at: str = "updated_at") -> bytes:
    """A stretch of the rows of some shelves, the last first, and what of it is wanted.

    Each shelf is a condition that has an index in this order. They are walked side by side: of an OR, Postgres would
    read and sort everything.
    """
    walks = " UNION ALL ".join(
        f"""(SELECT * FROM read.{table} WHERE {shelf} AND ({at}, id) < (%(at)s, %(after)s)
        ORDER BY {at} DESC, id DESC LIMIT {STRETCH})"""
        for shelf in shelves
    )
    order = f"ORDER BY {at} DESC, id DESC"
    return walk(
        f"""SELECT {item} AS item, {at} AS at, id
        FROM (SELECT * FROM ({walks}) AS shelves {order} LIMIT {STRETCH}) AS {table}
        WHERE {wanted} {order} LIMIT %(limit)s::int + 1""",
        TIMED,
        f"SELECT {at} AS at, id FROM ({walks}) AS shelves {order}",
    )


def unreadable() -> Invalid:
    """A cursor that was never given out."""
    return Invalid("The cursor is not one of ours.", FieldError("cursor", "Take it from `next_cursor`."))


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
        raise unreadable() from error


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
        raise unreadable() from error


def lettered(cursor: str | None) -> tuple[str, UUID]:
    """Of rows ordered by a text and `id`, whose cursor is the id, a dot and the text. Raises Invalid."""
    if cursor is None:
        return "", UUID(int=0)
    id, _, text = cursor.partition(".")
    if "\0" in text:
        raise unreadable()
    try:
        return text, UUID(id)
    except ValueError as error:
        raise unreadable() from error


def named(cursor: str | None) -> tuple[int, str]:
    """The cursor of rows ordered by a whole number, the most first, and a name. Raises Invalid."""
    if cursor is None:
        return _BEHIND_ALL, ""
    place, dot, name = cursor.partition(".")
    if not dot or "\0" in name:
        raise unreadable()
    return numbered(place), name


def numbered(cursor: str | None, first: int = 0) -> int:
    """Raises Invalid."""
    if cursor is None:
        return first
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise unreadable()
    return int(cursor)


def bounded(limit: int) -> int:
    """Raises Invalid."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid("The page size is out of range.", FieldError("limit", f"It must be 1 to {MAX_LIMIT}."))
    return limit
