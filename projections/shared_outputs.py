"""Shared outputs: pictures and other files of runs that their owners show to everybody, in three orders.

They go with their run, or alone. Who is erased shows nothing any more.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

from domain.account import AccountErased, AccountRegistered
from domain.ids import AccountId, OutputId
from domain.output_like import OutputLikeEvent
from domain.refusals import FieldError, Invalid
from domain.run import OutputDeleted, RunDeleted
from domain.shared_output import SharedOutputEvent
from projections import facets, gallery
from projections.gallery import MAX_WORDS
from projections.paging import RANKED, TIMED, bounded, page, ranked, timed, weighed
from projections.projection import Projection
from projections.reading import Cursor, one, planned_anew
from projections.shared_output_rows import TABLES, fold


class Sort(StrEnum):
    NEW = "new"
    TRENDING = "trending"
    LIKES = "likes"


SHARED_OUTPUTS = Projection(
    name="shared_outputs",
    version=3,
    sql=Path(__file__).with_suffix(".sql"),
    tables=TABLES,
    fold=fold,
    events=(
        *(AccountRegistered, AccountErased, RunDeleted, OutputDeleted),
        *get_args(SharedOutputEvent),
        *get_args(OutputLikeEvent),
    ),
    reads=frozenset({"at", "version"}),
    personal=True,
)

# names and likes as values, looked up for the rows of a page only
_ENTRY = """json_build_object('id', it.id, 'run', it.run, 'author', coalesce((
        SELECT author.username FROM read.output_authors AS author WHERE author.account = it.owner
    ), ''), 'name', it.name,
    'description', it.description, 'tags', it.tags, 'sensitive', it.sensitive, 'file', it.file,
    'with_workflow', it.graph IS NOT NULL, 'published_at', it.published_at, 'likes', it.likes,
    'liked', coalesce((
        SELECT true FROM read.output_likes AS mine
        WHERE mine.account = (SELECT read.viewer()) AND mine.output = it.id LIMIT 1
    ), false))"""
_SOURCE = "FROM read.shared_outputs AS it"
# whose account is erased shows nothing from that moment on
_THERE = "(SELECT true FROM read.output_authors AS author WHERE author.account = it.owner)"
_FOUND = " JOIN read.shared_words AS words ON words.id = it.id"
_TAGGED = " JOIN read.shared_tagged AS tagged ON tagged.id = it.id AND tagged.tag = %(tag)s"
# as the index in shared_outputs.sql has it
_DOCUMENT = " || ".join(
    f"to_tsvector('{language}', words.{column})"
    for column in ("name", "description", "tags")
    for language in ("english", "simple")
)
_WORDS = f""" AND ({_DOCUMENT})
    @@ (websearch_to_tsquery('english', %(words)s) || websearch_to_tsquery('simple', %(words)s))"""
_UNMARKED = " AND NOT it.sensitive"
_COLUMNS = {Sort.NEW: "published_at", Sort.TRENDING: "trend", Sort.LIKES: "likes"}


def _found(sort: Sort, *, words: bool, tag: bool, sensitive: bool) -> str:
    table = "tagged" if tag else "it"
    column = f"{table}.{_COLUMNS[sort]}"
    at, named = ("%(at)s", "at") if sort is Sort.NEW else ("%(at)s::bigint", "place")
    conditions = (_WORDS if words else "") + ("" if sensitive else _UNMARKED)
    query = f"""SELECT {_ENTRY} AS item, {column} AS {named}, {table}.id
        {_SOURCE}{_FOUND if words else ""}{_TAGGED if tag else ""}
        WHERE it.shown AND {_THERE} AND ({column}, {table}.id) < ({at}, %(after)s){conditions}"""
    if words:
        return weighed(query, named)
    return f"{query} ORDER BY {column} DESC, {table}.id DESC LIMIT %(limit)s::int + 1"


def _mixed(sort: Sort, *, words: bool, tag: bool, sensitive: bool) -> str:
    """Workflows and outputs: a page of each is found in its own index, and the first of both are shown."""
    asked = {"words": words, "tag": tag, "sensitive": sensitive}
    place = "at" if sort is Sort.NEW else "place"
    parts = " UNION ALL ".join(
        f"""(SELECT json_build_object('kind', '{kind}', '{kind}', item) AS item, {place}, id
        FROM ({query}) AS {kind})"""
        for kind, query in (
            ("workflow", gallery.found(gallery.Sort(sort), **asked)),
            ("output", _found(sort, **asked)),
        )
    )
    return f"SELECT * FROM ({parts}) AS shown ORDER BY {place} DESC, id DESC LIMIT %(limit)s::int + 1"


_PAGES = {
    (mixed, sort, words, tag, sensitive): page(
        (_mixed if mixed else _found)(sort, words=words, tag=tag, sensitive=sensitive),
        TIMED if sort is Sort.NEW else RANKED,
    )
    for mixed in (False, True)
    for sort in Sort
    for words in (False, True)
    for tag in (False, True)
    for sensitive in (False, True)
}
_ONE = f"""SELECT convert_to((({_ENTRY})::jsonb || jsonb_build_object('graph', it.graph, 'values', it.values,
    'public', it.wanted, 'hidden_for', it.hidden_for))::text, 'UTF8')
{_SOURCE} WHERE it.id = %(id)s AND {_THERE}""".encode()
_OF = page(
    f"""SELECT {_ENTRY} AS item, it.published_at AS at, it.id {_SOURCE}
    WHERE it.owner = %(owner)s AND it.shown AND {_THERE} AND (it.published_at, it.id) < (%(at)s, %(after)s)
    ORDER BY it.published_at DESC, it.id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)

_TAGS = facets.tags_of("shared_facets", "outputs")


async def shown(
    cursor: Cursor,
    limit: int,
    after: str | None = None,
    *,
    sort: Sort = Sort.NEW,
    words: str = "",
    tag: str = "",
    sensitive: bool = False,
    mixed: bool = False,
) -> bytes:
    """What is shown, in an order; `sensitive`: also what not everybody wants to see. `mixed`: published workflows among
    it, each with its kind. Raises Invalid."""
    for field, text in (("q", words), ("tag", tag)):
        if len(text) > MAX_WORDS or "\0" in text:
            raise Invalid(
                "This cannot be searched for.", FieldError(field, f"At most {MAX_WORDS} characters, no NUL.")
            )
    at, id = timed(after) if sort is Sort.NEW else ranked(after)
    parameters: dict[str, Any] = {"at": at, "after": id, "limit": bounded(limit)}
    if words := words.replace("-", " ").strip():
        parameters["words"] = words
    if tag := " ".join(tag.lower().split()):
        parameters["tag"] = tag
    if words:
        await planned_anew(cursor)  # how many have a word decides
    return await one(cursor, _PAGES[mixed, sort, bool(words), bool(tag), sensitive], parameters) or b""


async def output(cursor: Cursor, id: OutputId) -> bytes | None:
    """One of them, or one's own that is withdrawn or hidden."""
    return await one(cursor, _ONE, {"id": id})


async def of(cursor: Cursor, owner: AccountId, limit: int, after: str | None = None) -> bytes:
    """What somebody shows, the newest first. Raises Invalid."""
    at, id = timed(after)
    asked: dict[str, Any] = {"owner": owner, "at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _OF, asked) or b""


async def tags(cursor: Cursor, limit: int, after: str | None = None) -> bytes:
    """The tags of what is shown, those that most have first. Raises Invalid."""
    return await facets.tags(cursor, _TAGS, limit, after)
