"""Comments: what is said about workflows and shown outputs, by whom. Whoever may see those may read them."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import get_args
from uuid import UUID

from msgspec import Struct

from domain.account import AccountErased, AccountRegistered
from domain.comment import (
    CommentDeleted,
    CommentEdited,
    CommentEvent,
    CommentHidden,
    CommentPosted,
    CommentShownAgain,
)
from domain.event import AnyRecorded
from domain.ids import AccountId, CommentId
from domain.personal import DELETED_ACCOUNT
from domain.place import Kind, Place
from projections import places
from projections.paging import bounded, numbered, page
from projections.places import PlaceRow, fold_place, key_of
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one


class CommentRow(Struct, gc=False):
    """`position`: its place in the log. `replies`: how many answer it, also those that were deleted.

    Of a hidden one nothing is here but its place: what it says is in HiddenRow.
    """

    id: UUID
    place: UUID
    kind: Kind
    parent: UUID | None
    position: int
    owner: AccountId
    text: str
    mentions: tuple[AccountId, ...]
    replies: int
    posted_at: datetime
    edited_at: datetime | None
    deleted: bool
    hidden: bool = False


class HiddenRow(Struct, gc=False):
    """What a hidden comment says, for who wrote it."""

    id: UUID
    owner: AccountId
    text: str
    mentions: tuple[AccountId, ...]
    reason: str


class CommentPlaceRow(PlaceRow, gc=False, kw_only=True):
    """A place, and how many comments there are that were neither deleted nor hidden."""

    comments: int = 0


class SpeakerRow(Struct, gc=False):
    """`heard`: they have written a comment, or were named in one. Before that nobody sees the name here."""

    account: AccountId
    username: str
    heard: bool


def _comments(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case CommentPosted(parent=parent) if parent is not None:
            return (parent,)
        case CommentEdited() | CommentDeleted() | CommentHidden() | CommentShownAgain():
            return (recorded.stream,)
        case _:
            return ()


def _hidden(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case CommentEdited() | CommentDeleted() | CommentHidden() | CommentShownAgain():
            return (recorded.stream,)
        case _:
            return ()


def _place(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case CommentPosted() | CommentDeleted() | CommentHidden() | CommentShownAgain() as event:
            return key_of(event.workflow, event.output)[:1]
        case _:
            return places.touched(recorded)


def _speakers(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case CommentPosted(owner=owner, mentions=mentions):
            return (owner, *mentions)
        case CommentEdited(mentions=mentions):
            return mentions
        case AccountErased():
            return (recorded.stream,)
        case _:
            return ()


COMMENTS = Table("comments", CommentRow, ("id",), _comments)
HIDDEN = Table("comment_hidden", HiddenRow, ("id",), _hidden)
PLACES = Table("comment_places", CommentPlaceRow, places.KEY, _place)
SPEAKERS = Table("comment_speakers", SpeakerRow, ("account",), _speakers)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    comments, speakers = buffer[COMMENTS.name], buffer[SPEAKERS.name]
    id, at = recorded.stream, recorded.at
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            name = DELETED_ACCOUNT if username.text is None else username.text
            speakers.put(SpeakerRow(account, name, False))
        case AccountErased():
            speakers.change(id, username=DELETED_ACCOUNT)
        case CommentPosted() as posted:
            _post(posted, recorded, buffer)
        case CommentEdited(text=text, mentions=mentions):
            where = comments if buffer[HIDDEN.name].get(id) is None else buffer[HIDDEN.name]
            where.change(id, text=text, mentions=mentions)
            comments.change(id, edited_at=at)
            _hear(mentions, buffer)
        case CommentDeleted() as event:
            if buffer[HIDDEN.name].get(id) is None:
                _count(event, -1, buffer)
            buffer[HIDDEN.name].remove(id)
            comments.change(id, text="", mentions=(), deleted=True, hidden=False)
        case CommentHidden(reason=reason) as event:
            if (row := comments.get(id)) is not None:
                buffer[HIDDEN.name].put(HiddenRow(id, row.owner, row.text, row.mentions, reason))
                comments.change(id, text="", mentions=(), hidden=True)
                _count(event, -1, buffer)
        case CommentShownAgain() as event:
            if (kept := buffer[HIDDEN.name].get(id)) is not None:
                comments.change(id, text=kept.text, mentions=kept.mentions, hidden=False)
                buffer[HIDDEN.name].remove(id)
                _count(event, 1, buffer)
        case _:
            fold_place(recorded, buffer[PLACES.name], CommentPlaceRow)


def _post(posted: CommentPosted, recorded: AnyRecorded, buffer: Buffer) -> None:
    comments = buffer[COMMENTS.name]
    comments.put(
        CommentRow(
            id=recorded.stream,
            place=Place(posted.workflow, posted.output).id,
            kind=Kind.WORKFLOW if posted.output is None else Kind.OUTPUT,
            parent=posted.parent,
            position=recorded.position,
            owner=posted.owner,
            text=posted.text,
            mentions=posted.mentions,
            replies=0,
            posted_at=recorded.at,
            edited_at=None,
            deleted=False,
        )
    )
    if posted.parent is not None and (parent := comments.edit(posted.parent)):
        parent.replies += 1
    _count(posted, 1, buffer)
    _hear((posted.owner, *posted.mentions), buffer)


def _count(
    event: CommentPosted | CommentDeleted | CommentHidden | CommentShownAgain, more: int, buffer: Buffer
) -> None:
    if place := buffer[PLACES.name].edit(key_of(event.workflow, event.output)):
        place.comments += more


def _hear(accounts: Iterable[AccountId], buffer: Buffer) -> None:
    for account in accounts:
        buffer[SPEAKERS.name].change(account, heard=True)


COMMENTS_MADE = Projection(
    name="comments",
    version=4,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(COMMENTS, HIDDEN, PLACES, SPEAKERS),
    fold=fold,
    events=(
        *(AccountRegistered, AccountErased),
        *places.EVENTS,
        *get_args(CommentEvent),
    ),
    reads=frozenset({"at"}),
    personal=True,
)

_COMMENT = """json_build_object('id', said.id,
    'workflow', CASE said.kind WHEN 'workflow' THEN said.place END,
    'output', CASE said.kind WHEN 'output' THEN said.place END, 'parent', said.parent,
    'author', CASE WHEN said.deleted OR said.hidden THEN '' ELSE coalesce((
        SELECT author.username FROM read.comment_speakers AS author WHERE author.account = said.owner
    ), '') END, 'yours', coalesce(said.owner = (SELECT read.viewer()), false),
    'text', CASE WHEN said.hidden THEN coalesce((
        SELECT kept.text FROM read.comment_hidden AS kept WHERE kept.id = said.id
    ), '') ELSE said.text END, 'hidden_for', CASE WHEN said.hidden THEN (
        SELECT kept.reason FROM read.comment_hidden AS kept WHERE kept.id = said.id
    ) END, 'hidden', said.hidden,
    'mentions', (
        SELECT coalesce(json_agg(named.username ORDER BY named.place) FILTER (WHERE named.username IS NOT NULL), '[]')
        FROM (
            SELECT mention.place, (
                SELECT speaker.username FROM read.comment_speakers AS speaker
                WHERE speaker.account = mention.account::uuid
            ) AS username
            FROM jsonb_array_elements_text(said.mentions) WITH ORDINALITY AS mention (account, place)
        ) AS named
    ), 'replies', said.replies, 'posted_at', said.posted_at, 'edited_at', said.edited_at,
    'deleted', said.deleted)"""
_TOP = page(
    f"""SELECT {_COMMENT} AS item, said.position FROM read.comments AS said
    WHERE said.place = %(place)s AND said.parent IS NULL AND said.position < %(after)s
    ORDER BY said.position DESC LIMIT %(limit)s::int + 1""",
    "position::text",
)
_ANSWERS = page(
    f"""SELECT {_COMMENT} AS item, said.position FROM read.comments AS said
    WHERE said.place = %(place)s AND said.parent = %(parent)s AND said.position > %(after)s
    ORDER BY said.position LIMIT %(limit)s::int + 1""",
    "position::text",
)
_COUNTED = b"""SELECT convert_to(json_build_object('comments', place.comments)::text, 'UTF8')
FROM read.comment_places AS place WHERE place.id = %(place)s AND (place.stem = place.id) = %(workflow)s"""

_BEHIND_ALL = 2**62


async def counted(cursor: Cursor, place: UUID, kind: Kind = Kind.WORKFLOW) -> bytes | None:
    """How many there are; None where the workflow or output is not to be seen, or none."""
    return await one(cursor, _COUNTED, {"place": place, "workflow": kind is Kind.WORKFLOW})


async def said(
    cursor: Cursor, place: UUID, limit: int, after: str | None = None, *, parent: CommentId | None
) -> bytes:
    """On a workflow or an output, the newest first; or the answers to one of them, as they came. Raises Invalid."""
    asked = {"place": place, "limit": bounded(limit)}
    if parent is None:
        return await one(cursor, _TOP, asked | {"after": numbered(after, _BEHIND_ALL)}) or b""
    return await one(cursor, _ANSWERS, asked | {"parent": parent, "after": numbered(after)}) or b""
