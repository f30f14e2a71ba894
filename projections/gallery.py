"""The gallery: published workflows with their authors' names, newest first. Everybody may look."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from domain.account import AccountRegistered
from domain.event import AnyRecorded
from domain.ids import AccountId
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
    author: str
    name: str
    description: str
    tags: tuple[str, ...]
    versions: int
    published_at: datetime | None
    updated_at: datetime


class AuthorRow(Struct, gc=False):
    account: AccountId
    username: str


def _of_workflow(recorded: AnyRecorded) -> Iterable[UUID]:
    return () if isinstance(recorded.event, AccountRegistered) else (recorded.stream,)


def _author(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.event.owner,) if isinstance(recorded.event, WorkflowCreated) else ()


ENTRIES = Table("gallery", GalleryRow, ("id",), _of_workflow)
AUTHORS = Table("gallery_authors", AuthorRow, ("account",), _author)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    entries, id, at = buffer["gallery"], recorded.stream, recorded.at
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            buffer["gallery_authors"].put(AuthorRow(account, username))
        case WorkflowCreated(owner=owner, name=name, description=description, tags=tags):
            author = buffer["gallery_authors"].get(owner)
            username = author.username if author else ""
            entries.put(GalleryRow(id, owner, username, name, description, tags, 0, None, at))
        case WorkflowVersionSaved(number=number):
            entries.change(id, versions=number, updated_at=at)
        case WorkflowRenamed(name=name):
            entries.change(id, name=name, updated_at=at)
        case WorkflowDescribed(description=description):
            entries.change(id, description=description, updated_at=at)
        case WorkflowTagged(tags=tags):
            entries.change(id, tags=tags, updated_at=at)
        case WorkflowPublished():
            entries.change(id, published_at=at)
        case WorkflowWithdrawn():
            entries.change(id, published_at=None)
        case WorkflowDeleted():
            entries.remove(id)
        case _:
            pass


GALLERY = Projection(
    name="gallery",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(ENTRIES, AUTHORS),
    fold=fold,
    events=(AccountRegistered, *get_args(WorkflowEvent)),
    reads=frozenset({"at"}),
)

_PAGE = page(
    """SELECT json_build_object('id', id, 'author', author, 'name', name, 'description', description,
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
