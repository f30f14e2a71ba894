"""In how many shown things of a kind a tag stands, and the page that tells it."""

from collections.abc import Iterable

from msgspec import Struct

from projections.paging import bounded, named, page
from projections.reading import Cursor, one
from projections.rows import Rows

TAG = "tag"


class FacetRow(Struct, gc=False):
    """In how many of them a tag stands."""

    facet: str
    name: str
    shown: int


def count_tags(tags: Iterable[str], more: int, facets: Rows[FacetRow]) -> None:
    """Of one thing that is shown now (1), or shown no more (-1)."""
    for tag in tags if more else ():
        known = facets.edit((TAG, tag))
        if known is None:
            facets.put(FacetRow(TAG, tag, more))
        elif known.shown + more > 0:
            known.shown += more
        else:
            facets.remove((TAG, tag))


def tags_of(table: str, things: str) -> bytes:
    """The query for `tags`, of a table of facets; `things`: what they are counted as."""
    return page(
        f"""SELECT json_build_object('tag', tag.name, '{things}', tag.shown) AS item, tag.shown AS place, tag.name
        FROM read.{table} AS tag
        WHERE tag.facet = %(facet)s
            AND tag.shown <= %(shown)s::bigint AND (tag.shown < %(shown)s::bigint OR tag.name > %(after)s)
        ORDER BY tag.shown DESC, tag.name LIMIT %(limit)s::int + 1""",
        "place || '.' || name",
    )


async def tags(cursor: Cursor, query: bytes, limit: int, after: str | None) -> bytes:
    """Those that most have first. Raises Invalid."""
    shown, name = named(after)
    parameters = {"facet": TAG, "shown": shown, "after": name, "limit": bounded(limit)}
    return await one(cursor, query, parameters) or b""
