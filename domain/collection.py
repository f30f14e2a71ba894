"""A collection: a named list of workflows and shared outputs, in an order of its owner's, for all or for themselves."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.workflow_texts import checked_description, checked_name


class Kind(StrEnum):
    WORKFLOW = "workflow"
    OUTPUT = "output"


class Member(Struct, frozen=True):
    kind: Kind
    id: UUID


class CollectionBegun(Event, frozen=True, kw_only=True, tag="collection.begun.v1"):
    owner: AccountId
    name: str
    description: str = ""
    public: bool = False


class CollectionChanged(Event, frozen=True, kw_only=True, tag="collection.changed.v1"):
    """None: as it was."""

    name: str | None = None
    description: str | None = None
    public: bool | None = None


class MemberAdded(Event, frozen=True, kw_only=True, tag="collection.member_added.v1"):
    """At the end."""

    member: Member


class MemberRemoved(Event, frozen=True, kw_only=True, tag="collection.member_removed.v1"):
    member: Member


class CollectionOrdered(Event, frozen=True, kw_only=True, tag="collection.ordered.v1"):
    """All its members, in their new order."""

    members: tuple[Member, ...]


class CollectionDeleted(Event, frozen=True, kw_only=True, tag="collection.deleted.v1"):
    pass


CollectionEvent: TypeAlias = (
    CollectionBegun | CollectionChanged | MemberAdded | MemberRemoved | CollectionOrdered | CollectionDeleted
)

MAX_MEMBERS = 500  # keeps the event that orders them small
NO_COLLECTION = "There is no such collection."


class Collection(Struct, frozen=True):
    owner: AccountId | None = None
    name: str = ""
    description: str = ""
    public: bool = False
    members: tuple[Member, ...] = ()
    deleted: bool = False


def evolve(collection: Collection, event: CollectionEvent) -> Collection:
    match event:
        case CollectionBegun(owner=owner, name=name, description=description, public=public):
            return Collection(owner, name, description, public)
        case CollectionChanged():
            return replace(
                collection,
                name=collection.name if event.name is None else event.name,
                description=collection.description if event.description is None else event.description,
                public=collection.public if event.public is None else event.public,
            )
        case MemberAdded(member=member):
            return replace(collection, members=(*collection.members, member))
        case MemberRemoved(member=member):
            return replace(collection, members=tuple(each for each in collection.members if each != member))
        case CollectionOrdered(members=members):
            return replace(collection, members=members)
        case CollectionDeleted():
            return replace(collection, members=(), deleted=True)


COLLECTION: Decider[Collection, CollectionEvent] = Decider(
    "collection", Collection(), evolve, lambda collection: collection.owner
)


def begin(
    collection: Collection, *, owner: AccountId, name: str, description: str = "", public: bool = False
) -> list[CollectionEvent]:
    if collection.owner is not None:
        raise Conflict("This collection exists already.")
    said = checked_name(name), checked_description(description)
    return [CollectionBegun(owner=owner, name=said[0], description=said[1], public=public)]


def change(
    collection: Collection,
    *,
    by: AccountId,
    name: str | None = None,
    description: str | None = None,
    public: bool | None = None,
) -> list[CollectionEvent]:
    """Call it otherwise, describe it, show it to all or to nobody else. What is None stays."""
    owned(collection, by=by)
    event = CollectionChanged(
        name=None if name is None or checked_name(name) == collection.name else checked_name(name),
        description=None
        if description is None or checked_description(description) == collection.description
        else description,
        public=None if public == collection.public else public,
    )
    return [] if event == CollectionChanged() else [event]


def add(collection: Collection, *, by: AccountId, member: Member) -> list[CollectionEvent]:
    """That its owner sees it is known by the caller. What is in it already stays where it is."""
    owned(collection, by=by)
    if member in collection.members:
        return []
    if len(collection.members) >= MAX_MEMBERS:
        raise Conflict(f"A collection has {MAX_MEMBERS} members at most.")
    return [MemberAdded(member=member)]


def remove(collection: Collection, *, by: AccountId, member: Member) -> list[CollectionEvent]:
    owned(collection, by=by)
    return [MemberRemoved(member=member)] if member in collection.members else []


def order(collection: Collection, *, by: AccountId, members: Sequence[Member]) -> list[CollectionEvent]:
    """The same members in another order: a list that leaves one out, or names another, is of another moment."""
    owned(collection, by=by)
    if len(members) != len(collection.members) or set(members) != set(collection.members):
        raise Invalid(
            "These are not the members of the collection.",
            FieldError("members", "Name each of its members once."),
        )
    return [] if tuple(members) == collection.members else [CollectionOrdered(members=tuple(members))]


def delete(collection: Collection, *, by: AccountId) -> list[CollectionEvent]:
    """What was in it stays where it is."""
    if collection.deleted and collection.owner == by:
        return []
    owned(collection, by=by)
    return [CollectionDeleted()]


def owned(collection: Collection, *, by: AccountId) -> None:
    if collection.owner != by or collection.deleted:
        raise NotFound(NO_COLLECTION)
