"""Collections: lists of workflows and shared outputs. Of its members each reader sees those that they see anyway."""

from datetime import datetime
from pathlib import Path
from typing import get_args
from uuid import UUID

from msgspec import Struct

from domain.collection import (
    CollectionBegun,
    CollectionChanged,
    CollectionDeleted,
    CollectionEvent,
    CollectionOrdered,
    Member,
    MemberAdded,
    MemberRemoved,
)
from domain.event import AnyRecorded
from domain.ids import AccountId
from projections.paging import bounded, numbered, page
from projections.projection import Buffer, Projection, Table, by_stream
from projections.reading import Cursor, one


class CollectionRow(Struct, gc=False):
    """`position`: of the event that it began with, so that lists keep their order."""

    id: UUID
    owner: AccountId
    public: bool
    name: str
    description: str
    members: tuple[Member, ...]
    begun_at: datetime
    changed_at: datetime
    position: int


COLLECTIONS = Table("collections", CollectionRow, ("id",), by_stream, begins=frozenset({CollectionBegun}))


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    collections, id, at = buffer[COLLECTIONS.name], recorded.stream, recorded.at
    match recorded.event:
        case CollectionBegun(owner=owner, name=name, description=description, public=public):
            place = recorded.position
            collections.put(CollectionRow(id, owner, public, name, description, (), at, at, place))
        case CollectionChanged(name=name, description=description, public=public):
            given = {"name": name, "description": description, "public": public}
            changed = {field: value for field, value in given.items() if value is not None}
            collections.change(id, changed_at=at, **changed)
        case MemberAdded(member=member):
            if row := collections.edit(id):
                row.members, row.changed_at = (*row.members, member), at
        case MemberRemoved(member=member):
            if row := collections.edit(id):
                row.members = tuple(each for each in row.members if each != member)
                row.changed_at = at
        case CollectionOrdered(members=members):
            collections.change(id, members=members, changed_at=at)
        case CollectionDeleted():
            collections.remove(id)
        case _:
            pass


COLLECTIONS_MADE = Projection(
    name="collections",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(COLLECTIONS,),
    fold=fold,
    events=get_args(CollectionEvent),
    reads=frozenset({"at"}),
)

_COLLECTION = """json_build_object('id', it.id, 'owner', it.owner, 'author', coalesce(
        (SELECT author.username FROM read.gallery_authors AS author WHERE author.account = it.owner),
        (SELECT author.username FROM read.output_authors AS author WHERE author.account = it.owner), ''
    ), 'name', it.name, 'description', it.description, 'public', it.public,
    'members', jsonb_array_length(it.members), 'begun_at', it.begun_at, 'changed_at', it.changed_at)"""
_OF = page(
    f"""SELECT {_COLLECTION} AS item, it.position FROM read.collections AS it
    WHERE it.owner = %(owner)s AND it.position < %(before)s
    ORDER BY it.position DESC LIMIT %(limit)s::int + 1""",
    "position::text",
)
_ONE = f"SELECT convert_to({_COLLECTION}::text, 'UTF8') FROM read.collections AS it WHERE it.id = %(id)s".encode()
# each is looked up by itself: joined, Postgres would read all workflows there are
_MEMBERS = page(
    """SELECT * FROM (
        SELECT CASE member.it ->> 'kind' WHEN 'workflow' THEN (
            SELECT json_build_object('kind', 'workflow', 'id', it.id, 'name', it.name, 'file', NULL, 'run', NULL)
            FROM read.workflows AS it WHERE it.id = (member.it ->> 'id')::uuid
        ) ELSE (
            SELECT json_build_object('kind', 'output', 'id', it.id, 'name', it.name, 'file', it.file, 'run', it.run)
            FROM read.shared_outputs AS it WHERE it.id = (member.it ->> 'id')::uuid
        ) END AS item, member.place
        FROM read.collections AS list
        CROSS JOIN LATERAL jsonb_array_elements(list.members) WITH ORDINALITY AS member (it, place)
        WHERE list.id = %(id)s AND member.place > %(after)s
        ORDER BY member.place OFFSET 0
    ) AS member WHERE item IS NOT NULL ORDER BY place LIMIT %(limit)s::int + 1""",
    "place::text",
)

_BEHIND_ALL = 2**62


async def of(cursor: Cursor, owner: AccountId, limit: int, after: str | None = None) -> bytes:
    """Somebody's public ones, one's own all; the last begun first. Raises Invalid."""
    asked = {"owner": owner, "limit": bounded(limit), "before": numbered(after, _BEHIND_ALL)}
    return await one(cursor, _OF, asked) or b""


async def collection(cursor: Cursor, id: UUID) -> bytes | None:
    return await one(cursor, _ONE, {"id": id})


async def members(cursor: Cursor, id: UUID, limit: int, after: str | None = None) -> bytes:
    """In their order, without those that the reader does not see. Raises Invalid."""
    return await one(cursor, _MEMBERS, {"id": id, "limit": bounded(limit), "after": numbered(after)}) or b""
