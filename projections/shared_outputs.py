"""Shared outputs: pictures and other files of runs that their owners show to everybody, in three orders.

They go with their run, or alone. Who is erased shows nothing any more.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from domain.account import AccountErased, AccountRegistered
from domain.event import AnyRecorded
from domain.ids import AccountId, OutputId
from domain.outcome import Output
from domain.output_like import OutputLiked, OutputLikeEvent, OutputUnliked
from domain.personal import DELETED_ACCOUNT
from domain.refusals import FieldError, Invalid
from domain.run import OutputDeleted, RunDeleted
from domain.shared_output import (
    OutputHidden,
    OutputMarked,
    OutputPublished,
    OutputShownAgain,
    OutputWithdrawn,
    SharedOutputEvent,
)
from projections.gallery import MAX_WORDS
from projections.paging import RANKED, TIMED, bounded, page, ranked, timed
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one
from projections.trending import NOTHING, raised


class Sort(StrEnum):
    NEW = "new"
    TRENDING = "trending"
    LIKES = "likes"


class SharedOutputRow(Struct, gc=False):
    """`shown`: to everybody; `wanted`: by its owner; `hidden_for`: why it is not. `graph`, `values`: digests."""

    run: UUID
    node: str
    index: int
    id: UUID
    owner: AccountId
    shown: bool
    wanted: bool
    hidden_for: str
    sensitive: bool
    name: str
    description: str
    tags: tuple[str, ...]
    file: Output
    graph: str | None
    values: str | None
    published_at: datetime
    likes: int
    trend: int


class OutputLikeRow(Struct, gc=False):
    id: UUID
    account: AccountId
    output: UUID


class OutputAuthorRow(Struct, gc=False):
    """`shows`: they have shown an output; before that nobody sees the name here."""

    account: AccountId
    username: str
    shows: bool


def _of_run(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case RunDeleted() | OutputDeleted():
            return (recorded.stream,)
        case AccountRegistered() | AccountErased():
            return ()
        case _:
            return (recorded.event.run,)


def _like(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) is OutputUnliked else ()


def _author(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case OutputPublished(owner=owner):
            return (owner,)
        case AccountErased():
            return (recorded.stream,)
        case _:
            return ()


OUTPUTS = Table("shared_outputs", SharedOutputRow, ("run", "node", "index"), _of_run)
LIKES = Table("output_likes", OutputLikeRow, ("id",), _like)
AUTHORS = Table("output_authors", OutputAuthorRow, ("account",), _author)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    outputs, id = buffer[OUTPUTS.name], recorded.stream
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            name = DELETED_ACCOUNT if username.text is None else username.text
            buffer[AUTHORS.name].put(OutputAuthorRow(account, name, False))
        case AccountErased():
            buffer[AUTHORS.name].remove(id)
        case RunDeleted():
            outputs.remove_of(id)
        case OutputDeleted(node=node, index=index):
            outputs.remove((id, node, index))
        case OutputPublished() as published:
            _publish(published, recorded, buffer)
        case OutputWithdrawn(run=run, node=node, index=index):
            outputs.change((run, node, index), shown=False, wanted=False)
        case OutputHidden(run=run, node=node, index=index, reason=reason):
            outputs.change((run, node, index), shown=False, hidden_for=reason)
        case OutputShownAgain(run=run, node=node, index=index):
            if row := outputs.edit((run, node, index)):
                row.shown, row.hidden_for = row.wanted, ""
        case OutputMarked(run=run, node=node, index=index, sensitive=sensitive):
            outputs.change((run, node, index), sensitive=sensitive)
        case OutputLiked() as liked:
            buffer[LIKES.name].put(OutputLikeRow(id, liked.account, liked.output))
            if row := outputs.edit((liked.run, liked.node, liked.index)):
                row.likes += 1
                if recorded.version == 1 and row.owner != liked.account:
                    row.trend = raised(row.trend, recorded.at)
        case OutputUnliked() as unliked:
            buffer[LIKES.name].remove(id)
            if row := outputs.edit((unliked.run, unliked.node, unliked.index)):
                row.likes -= 1
        case _:
            pass


def _publish(published: OutputPublished, recorded: AnyRecorded, buffer: Buffer) -> None:
    outputs, output = buffer[OUTPUTS.name], published.output
    before: SharedOutputRow | None = outputs.get((published.run, output.node, output.index))
    stays = before is not None and before.shown
    outputs.put(
        SharedOutputRow(
            run=published.run,
            node=output.node,
            index=output.index,
            id=recorded.stream,
            owner=published.owner,
            shown=True,
            wanted=True,
            hidden_for="",
            sensitive=published.sensitive,
            name=published.name,
            description=published.description,
            tags=published.tags,
            file=output,
            graph=published.graph.digest if published.graph else None,
            values=published.values.digest if published.values else None,
            published_at=before.published_at if stays and before else recorded.at,
            likes=before.likes if before else 0,
            trend=before.trend if before else raised(NOTHING, recorded.at),
        )
    )
    buffer[AUTHORS.name].change(published.owner, shows=True)


SHARED_OUTPUTS = Projection(
    name="shared_outputs",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(OUTPUTS, LIKES, AUTHORS),
    fold=fold,
    events=(
        *(AccountRegistered, AccountErased, RunDeleted, OutputDeleted),
        *get_args(SharedOutputEvent),
        *get_args(OutputLikeEvent),
    ),
    reads=frozenset({"at", "version"}),
    personal=True,
)

_ENTRY = """json_build_object('id', it.id, 'run', it.run, 'author', author.username, 'name', it.name,
    'description', it.description, 'tags', it.tags, 'sensitive', it.sensitive, 'file', it.file,
    'with_workflow', it.graph IS NOT NULL, 'published_at', it.published_at, 'likes', it.likes,
    'liked', EXISTS (
        SELECT FROM read.output_likes AS mine
        WHERE mine.account = (SELECT read.viewer()) AND mine.output = it.id
    ))"""
_SOURCE = "FROM read.shared_outputs AS it JOIN read.output_authors AS author ON author.account = it.owner"
# as the index in shared_outputs.sql has it
_DOCUMENT = " || ".join(
    f"to_tsvector('{language}', it.{column})"
    for column in ("name", "description", "tags")
    for language in ("english", "simple")
)
_WORDS = f""" AND ({_DOCUMENT})
    @@ (websearch_to_tsquery('english', %(words)s) || websearch_to_tsquery('simple', %(words)s))"""
_TAGGED = " AND it.tags @> jsonb_build_array(%(tag)s::text)"
_UNMARKED = " AND NOT it.sensitive"
_COLUMNS = {Sort.NEW: "published_at", Sort.TRENDING: "trend", Sort.LIKES: "likes"}


def _page(sort: Sort, *, words: bool, tag: bool, sensitive: bool) -> bytes:
    column = f"it.{_COLUMNS[sort]}"
    at, named = ("%(at)s", "at") if sort is Sort.NEW else ("%(at)s::bigint", "place")
    conditions = (_WORDS if words else "") + (_TAGGED if tag else "") + ("" if sensitive else _UNMARKED)
    return page(
        f"""SELECT {_ENTRY} AS item, {column} AS {named}, it.id {_SOURCE}
        WHERE it.shown AND ({column}, it.id) < ({at}, %(after)s){conditions}
        ORDER BY {column} DESC, it.id DESC LIMIT %(limit)s::int + 1""",
        TIMED if sort is Sort.NEW else RANKED,
    )


_PAGES = {
    (sort, words, tag, sensitive): _page(sort, words=words, tag=tag, sensitive=sensitive)
    for sort in Sort
    for words in (False, True)
    for tag in (False, True)
    for sensitive in (False, True)
}
_ONE = f"""SELECT convert_to((({_ENTRY})::jsonb || jsonb_build_object('graph', it.graph, 'values', it.values,
    'public', it.wanted, 'hidden_for', it.hidden_for))::text, 'UTF8')
{_SOURCE} WHERE it.id = %(id)s""".encode()
_OF = page(
    f"""SELECT {_ENTRY} AS item, it.published_at AS at, it.id {_SOURCE}
    WHERE it.owner = %(owner)s AND it.shown AND (it.published_at, it.id) < (%(at)s, %(after)s)
    ORDER BY it.published_at DESC, it.id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)


async def shown(
    cursor: Cursor,
    limit: int,
    after: str | None = None,
    *,
    sort: Sort = Sort.NEW,
    words: str = "",
    tag: str = "",
    sensitive: bool = False,
) -> bytes:
    """What is shown, in an order; `sensitive`: also what not everybody wants to see. Raises Invalid."""
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
    return await one(cursor, _PAGES[sort, bool(words), bool(tag), sensitive], parameters) or b""


async def output(cursor: Cursor, id: OutputId) -> bytes | None:
    """One of them, or one's own that is withdrawn or hidden."""
    return await one(cursor, _ONE, {"id": id})


async def of(cursor: Cursor, owner: AccountId, limit: int, after: str | None = None) -> bytes:
    """What somebody shows, the newest first. Raises Invalid."""
    at, id = timed(after)
    asked: dict[str, Any] = {"owner": owner, "at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _OF, asked) or b""
