"""Collections of workflows and shared outputs."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import ANYBODY, Cursor, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.output_answers import FileAnswer
from adapters.http.outputs import with_urls
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from adapters.http.shared_outputs import BARE
from commands.collections import (
    AddMember,
    BeginCollection,
    Begun,
    ChangeCollection,
    DeleteCollection,
    OrderCollection,
    RemoveMember,
)
from commands.named_accounts import account_named
from commands.streams import Context
from domain.collection import NO_COLLECTION, Kind, Member
from domain.ids import Position
from domain.refusals import NotFound
from projections import collections

Name = Annotated[str, Meta(examples=["Foxes"])]


class BeginBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Name
    description: str = ""
    public: bool = False


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    description: str | UnsetType = UNSET
    public: bool | UnsetType = UNSET


class MemberBody(Struct, frozen=True, forbid_unknown_fields=True):
    kind: Kind
    id: UUID


class OrderBody(Struct, frozen=True, forbid_unknown_fields=True):
    members: Annotated[list[MemberBody], Meta(max_length=500, description="Each of its members once.")]


class BegunAnswer(Struct, frozen=True):
    id: UUID
    position: Position


class CollectionSummary(Struct):
    """`members`: how many there are, also those that you do not see."""

    id: UUID
    owner: UUID
    author: Annotated[str, Meta(description="Empty where they have published nothing.")]
    name: str
    description: str
    public: bool
    members: int
    begun_at: datetime
    changed_at: datetime


class CollectionPage(Struct):
    items: list[CollectionSummary]
    next_cursor: Cursor


class MemberAnswer(Struct):
    """`file`: of an output."""

    kind: Kind
    id: UUID
    name: str
    file: FileAnswer | None


class CollectionAnswer(Struct):
    """`items`: its members, in their order: those that you see."""

    collection: CollectionSummary
    items: list[MemberAnswer]
    next_cursor: Cursor


@post(
    "/collections",
    dto=StrictBody[BeginBody],
    return_dto=None,
    responses=answers(201, BegunAnswer, 401, 409, 415, 422),
)
async def begin(
    data: JSONBody[BeginBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> BegunAnswer:
    """Begin a list of workflows and shared outputs; for yourself, or for everybody to see."""
    wish = BeginCollection(
        owner=caller.account, name=data.name, description=data.description, public=data.public
    )
    begun: Begun = await parts.commands.run(wish, context)
    return BegunAnswer(begun.id, begun.position)


@get("/collections", responses=answers(200, CollectionPage, 401, 422))
async def own(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Yours, the last begun first."""
    return await reader.page(collections.of, caller.account, limit=limit, cursor=cursor)


@get("/accounts/{name:str}/collections", security=ANYBODY, responses=answers(200, CollectionPage, 404, 422))
async def of(
    name: FromPath[str],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Somebody's public ones, the last begun first."""
    account = await account_named(name, parts.commands.needs)
    return await reader.page(collections.of, account, limit=limit, cursor=cursor)


@get("/collections/{collection:uuid}", security=ANYBODY, responses=answers(200, CollectionAnswer, 404, 422))
async def show(
    collection: FromPath[UUID],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 50,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """A public one, or yours, with its members. What was withdrawn, hidden or deleted since is left out."""
    about = await reader.one(collections.collection, collection, missing=NO_COLLECTION)
    page = msgspec.json.decode(
        await reader.ask(collections.members, collection, limit=limit, after=cursor), type=dict[str, Any]
    )
    for member in page["items"]:
        run, file = member.pop("run"), member["file"]
        if file is not None:
            with_urls({"id": run, "outputs": [file], **BARE}, parts)
    return json_response(msgspec.json.encode(page | {"collection": msgspec.Raw(about)}))


@patch(
    "/collections/{collection:uuid}",
    dto=StrictBody[ChangeBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 415, 422),
)
async def change(
    collection: FromPath[UUID],
    data: JSONBody[ChangeBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Call it otherwise, describe it, show it to everybody or to nobody else."""
    wish = ChangeCollection(
        by=caller.account,
        collection=collection,
        name=None if data.name is UNSET else data.name,
        description=None if data.description is UNSET else data.description,
        public=None if data.public is UNSET else data.public,
    )
    return Moved((await parts.commands.run(wish, context)).position)


@put(
    "/collections/{collection:uuid}/members/{kind:str}/{member:uuid}",
    status_code=200,
    responses=answers(200, Moved, 401, 404, 409),
)
async def add(
    collection: FromPath[UUID],
    kind: FromPath[str],
    member: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Put a `workflow` or an `output` that you see at its end; one that is in it stays where it is. 409: it is full."""
    wish = AddMember(by=caller.account, collection=collection, member=_member(kind, member))
    return Moved((await parts.commands.run(wish, context)).position)


@delete(
    "/collections/{collection:uuid}/members/{kind:str}/{member:uuid}",
    status_code=200,
    responses=answers(200, Moved, 401, 404),
)
async def remove(
    collection: FromPath[UUID],
    kind: FromPath[str],
    member: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Take it out."""
    wish = RemoveMember(by=caller.account, collection=collection, member=_member(kind, member))
    return Moved((await parts.commands.run(wish, context)).position)


@put(
    "/collections/{collection:uuid}/order",
    dto=StrictBody[OrderBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, Moved, 401, 404, 415, 422),
)
async def order(
    collection: FromPath[UUID],
    data: JSONBody[OrderBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Put all its members in another order. 422: these are not its members (any more)."""
    members = tuple(Member(each.kind, each.id) for each in data.members)
    wish = OrderCollection(by=caller.account, collection=collection, members=members)
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/collections/{collection:uuid}", status_code=200, responses=answers(200, Moved, 401, 404))
async def end(
    collection: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Delete the list. What is in it stays where it is."""
    wish = DeleteCollection(by=caller.account, collection=collection)
    return Moved((await parts.commands.run(wish, context)).position)


def _member(kind: str, id: UUID) -> Member:
    """Raises NotFound."""
    try:
        return Member(Kind(kind), id)
    except ValueError as error:
        raise NotFound(NO_COLLECTION) from error


ROUTER = Router(
    "/",
    route_handlers=[begin, own, of, show, change, add, remove, order, end],
    tags=["community"],
)
