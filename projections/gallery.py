"""The gallery: published workflows with their authors' names, newest first. Everybody may look.

What an author has left behind stays, under the name of a deleted account.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from domain.account import AccountErased, AccountRegistered
from domain.event import AnyRecorded
from domain.ids import AccountId
from domain.personal import DELETED_ACCOUNT
from domain.workflow import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowDescribed,
    WorkflowEvent,
    WorkflowPublished,
    WorkflowRenamed,
    WorkflowTagged,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
)
from projections.paging import TIMED, bounded, page, timed
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one


class GalleryRow(Struct, gc=False):
    """A workflow, shown while `published_at` is set."""

    id: UUID
    owner: AccountId
    name: str
    description: str
    tags: tuple[str, ...]
    versions: int
    published_at: datetime | None
    updated_at: datetime


class AuthorRow(Struct, gc=False):
    """`shown`: how many workflows of theirs are published; while there are none, nobody sees the name."""

    account: AccountId
    username: str
    shown: int


def _of_workflow(recorded: AnyRecorded) -> Iterable[UUID]:
    return () if isinstance(recorded.event, AccountRegistered | AccountErased) else (recorded.stream,)


def _author(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case AccountErased():
            return (recorded.stream,)
        case WorkflowPublished() | WorkflowWithdrawn() | WorkflowDeleted() if recorded.owner is not None:
            return (recorded.owner,)
        case _:
            return ()


ENTRIES = Table("gallery", GalleryRow, ("id",), _of_workflow)
AUTHORS = Table("gallery_authors", AuthorRow, ("account",), _author)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    entries, id, at = buffer["gallery"], recorded.stream, recorded.at
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            name = DELETED_ACCOUNT if username.text is None else username.text
            buffer["gallery_authors"].put(AuthorRow(account, name, 0))
        case AccountErased():
            buffer["gallery_authors"].change(id, username=DELETED_ACCOUNT)
        case WorkflowCreated(owner=owner, name=name, description=description, tags=tags):
            entries.put(GalleryRow(id, owner, name, description, tags, 0, None, at))
        case WorkflowVersionSaved(number=number):
            entries.change(id, versions=number, updated_at=at)
        case WorkflowRenamed(name=name):
            entries.change(id, name=name, updated_at=at)
        case WorkflowDescribed(description=description):
            entries.change(id, description=description, updated_at=at)
        case WorkflowTagged(tags=tags):
            entries.change(id, tags=tags, updated_at=at)
        case WorkflowPublished():
            _show(id, at, buffer)
        case WorkflowWithdrawn():
            _show(id, None, buffer)
        case WorkflowDeleted():
            _show(id, None, buffer)
            entries.remove(id)
        case _:
            pass


def _show(id: UUID, published_at: datetime | None, buffer: Buffer) -> None:
    entry = buffer["gallery"].edit(id)
    if entry is None:
        return
    shown = (published_at is not None) - (entry.published_at is not None)
    entry.published_at = published_at
    if shown and (author := buffer["gallery_authors"].edit(entry.owner)):
        author.shown += shown


GALLERY = Projection(
    name="gallery",
    version=2,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(ENTRIES, AUTHORS),
    fold=fold,
    events=(AccountRegistered, AccountErased, *get_args(WorkflowEvent)),
    reads=frozenset({"at", "owner"}),
    personal=True,
)

_PAGE = page(
    """SELECT json_build_object('id', id, 'author', coalesce((
            SELECT author.username FROM read.gallery_authors AS author WHERE author.account = owner
        ), ''), 'name', name, 'description', description,
        'tags', tags, 'version', versions, 'published_at', published_at, 'updated_at', updated_at) AS item,
        published_at AS at, id
    FROM read.gallery
    WHERE published_at IS NOT NULL AND (published_at, id) < (%(at)s, %(after)s)
    ORDER BY published_at DESC, id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)


async def published(cursor: Cursor, limit: int, after: str | None = None) -> bytes:
    """What is published, newest first. Raises Invalid."""
    at, id = timed(after)
    parameters: dict[str, Any] = {"at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _PAGE, parameters) or b""
