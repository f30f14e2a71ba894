"""The gallery: published workflows with their authors' names, found by words and tags, in four orders.

Everybody may look. What an author has left behind stays, under the name of a deleted account.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

from domain.account import AccountErased, AccountRegistered
from domain.ids import AccountId, WorkflowId
from domain.like import LikeEvent
from domain.refusals import FieldError, Invalid
from domain.run import RunSubmitted
from domain.workflow import WorkflowEvent
from projections import facets
from projections.gallery_rows import TABLES, fold
from projections.paging import RANKED, TIMED, bounded, page, ranked, timed, weighed
from projections.pictures import pictures
from projections.projection import Projection
from projections.reading import Cursor, one, planned_anew

MAX_WORDS = 200


class Sort(StrEnum):
    NEW = "new"
    TRENDING = "trending"
    LIKES = "likes"
    RUNS = "runs"


GALLERY = Projection(
    name="gallery",
    version=7,
    sql=Path(__file__).with_suffix(".sql"),
    tables=TABLES,
    fold=fold,
    events=(AccountRegistered, AccountErased, *get_args(WorkflowEvent), *get_args(LikeEvent), RunSubmitted),
    reads=frozenset({"at", "owner", "version"}),
    personal=True,
)

# as one value: of EXISTS, Postgres would read all that somebody likes to look into it
_LIKED = """coalesce((
    SELECT true FROM read.gallery_likes AS mine
    WHERE mine.account = (SELECT read.viewer()) AND mine.workflow = counts.workflow LIMIT 1
), false)"""
_ENTRY = f"""SELECT json_build_object('id', entry.id, 'author', coalesce((
        SELECT author.username FROM read.gallery_authors AS author WHERE author.account = entry.owner
    ), ''), 'name', entry.name, 'description', entry.description, 'tags', entry.tags, 'sensitive', entry.sensitive,
    'version', entry.versions, 'thumbnails', {pictures("entry.id", "entry.thumbnails")},
    'published_at', entry.published_at, 'updated_at', entry.updated_at,
    'likes', counts.likes, 'liked', {_LIKED}, 'runs', counts.runs) AS item"""
_SOURCE = "FROM read.gallery AS entry JOIN read.gallery_counts AS counts ON counts.workflow = entry.id"
_FOUND = " JOIN read.gallery_words AS words ON words.workflow = entry.id"
_TAGGED = " JOIN read.gallery_tagged AS tagged ON tagged.workflow = entry.id AND tagged.tag = %(tag)s"
# as the index in gallery.sql has it
_DOCUMENT = " || ".join(
    f"to_tsvector('{language}', words.{column})"
    for column in ("name", "description", "tags")
    for language in ("english", "simple")
)
_WORDS = f""" AND ({_DOCUMENT})
    @@ (websearch_to_tsquery('english', %(words)s) || websearch_to_tsquery('simple', %(words)s))"""
_PUBLISHED = {"entry": "entry.published_at IS NOT NULL", "counts": "counts.shown", "tagged": "counts.shown"}
_COLUMNS = {Sort.NEW: "published_at", Sort.TRENDING: "trend", Sort.LIKES: "likes", Sort.RUNS: "runs"}


def found(sort: Sort, *, words: bool, tag: bool, sensitive: bool) -> str:
    """A query for each question, so that each is planned for what it asks: `item`, `at` or `place`, `id`."""
    table = "tagged" if tag else "entry" if sort is Sort.NEW else "counts"
    column, id = f"{table}.{_COLUMNS[sort]}", "entry.id" if table == "entry" else f"{table}.workflow"
    at = "%(at)s" if sort is Sort.NEW else "%(at)s::bigint"
    named = "at" if sort is Sort.NEW else "place"
    query = f"""{_ENTRY}, {column} AS {named}, {id} AS id
        {_SOURCE}{_FOUND if words else ""}{_TAGGED if tag else ""}
        WHERE {_PUBLISHED[table]} AND ({column}, {id}) < ({at}, %(after)s){_WORDS if words else ""}
            {"" if sensitive else "AND NOT entry.sensitive"}"""
    if words:
        return weighed(query, named)
    return f"{query} ORDER BY {column} DESC, {id} DESC LIMIT %(limit)s::int + 1"


_PAGES = {
    (sort, words, tag, sensitive): page(
        found(sort, words=words, tag=tag, sensitive=sensitive), TIMED if sort is Sort.NEW else RANKED
    )
    for sort in Sort
    for words in (False, True)
    for tag in (False, True)
    for sensitive in (False, True)
}
_STANDING = f"""SELECT convert_to(json_build_object('likes', counts.likes, 'liked', {_LIKED},
    'runs', counts.runs)::text, 'UTF8')
FROM read.gallery_counts AS counts WHERE counts.workflow = %(id)s""".encode()
_OF = page(
    f"""{_ENTRY}, entry.published_at AS at, entry.id {_SOURCE}
    WHERE entry.owner = %(owner)s AND entry.published_at IS NOT NULL
        AND (entry.published_at, entry.id) < (%(at)s, %(after)s)
    ORDER BY entry.published_at DESC, entry.id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)
_TAGS = facets.tags_of("gallery_facets", "workflows")


async def published(
    cursor: Cursor,
    limit: int,
    after: str | None = None,
    *,
    sort: Sort = Sort.NEW,
    words: str = "",
    tag: str = "",
    sensitive: bool = False,
) -> bytes:
    """What is published, in an order; with some words or a tag in it, where they are given. `sensitive`: also what not
    everybody wants to see. Raises Invalid."""
    for field, text in (("q", words), ("tag", tag)):
        if len(text) > MAX_WORDS or "\0" in text:
            raise Invalid(
                "This cannot be searched for.", FieldError(field, f"At most {MAX_WORDS} characters, no NUL.")
            )
    at, id = timed(after) if sort is Sort.NEW else ranked(after)
    parameters: dict[str, Any] = {"at": at, "after": id, "limit": bounded(limit)}
    if words := words.replace("-", " ").strip():  # what words are not in would be looked for everywhere
        parameters["words"] = words
    if tag := " ".join(tag.lower().split()):
        parameters["tag"] = tag
    if words:
        await planned_anew(cursor)  # how many have a word decides
    return await one(cursor, _PAGES[sort, bool(words), bool(tag), sensitive], parameters) or b""


async def of(cursor: Cursor, owner: AccountId, limit: int, after: str | None = None) -> bytes:
    """What somebody has published, the newest first. Raises Invalid."""
    at, id = timed(after)
    asked = {"owner": owner, "at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _OF, asked) or b""


async def standing(cursor: Cursor, id: WorkflowId) -> bytes | None:
    """Likes and runs of one's own workflow or a published one, and whether oneself likes it."""
    return await one(cursor, _STANDING, {"id": id})


async def tags(cursor: Cursor, limit: int, after: str | None = None) -> bytes:
    """The tags of what is published, those that most have first. Raises Invalid."""
    return await facets.tags(cursor, _TAGS, limit, after)
