"""Collections: begun, changed, filled, put in order, deleted."""

from typing import Any
from uuid import UUID

from msgspec import Struct

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context, Source
from commands.words import BLOCKED
from domain import collection, shared_output
from domain import workflow as workflows
from domain.collection import COLLECTION, Collection, CollectionEvent, Kind, Member
from domain.ids import AccountId, OutputId, Position, StreamId, WorkflowId
from domain.refusals import NotFound
from domain.run import RUN, Run
from domain.shared_output import NO_OUTPUT, SHARED_OUTPUT, SharedOutput
from domain.words import Words, allow
from domain.workflow import WORKFLOW, Workflow


class BeginCollection(Command, frozen=True, kw_only=True):
    owner: AccountId
    name: str
    description: str = ""
    public: bool = False


class ChangeCollection(Command, frozen=True, kw_only=True):
    """None leaves a thing as it is."""

    by: AccountId
    collection: StreamId
    name: str | None = None
    description: str | None = None
    public: bool | None = None


class AddMember(Command, frozen=True, kw_only=True):
    by: AccountId
    collection: StreamId
    member: Member


class RemoveMember(Command, frozen=True, kw_only=True):
    by: AccountId
    collection: StreamId
    member: Member


class OrderCollection(Command, frozen=True, kw_only=True):
    by: AccountId
    collection: StreamId
    members: tuple[Member, ...]


class DeleteCollection(Command, frozen=True, kw_only=True):
    by: AccountId
    collection: StreamId


class Begun(Struct, frozen=True):
    id: StreamId
    position: Position


async def begin_collection(command: BeginCollection, context: Context, needs: Needs) -> Begun:
    """Raises Invalid, KeyReused."""
    id: UUID = needs.new_id()

    def decide(state: Collection, blocked: Words) -> list[CollectionEvent]:
        if command.public:
            allow(blocked, name=command.name, description=command.description)
        return collection.begin(
            state,
            owner=command.owner,
            name=command.name,
            description=command.description,
            public=command.public,
        )

    accepted = await needs.streams.transact(
        context, Change(COLLECTION, id, decide, given=(BLOCKED,), new=True)
    )
    if accepted.repeated and (before := await needs.streams.log.at(accepted.first)) is not None:
        id = before.stream
    return Begun(id, accepted.position)


async def change_collection(command: ChangeCollection, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid."""

    def decide(state: Collection, blocked: Words) -> list[CollectionEvent]:
        events = collection.change(
            state,
            by=command.by,
            name=command.name,
            description=command.description,
            public=command.public,
        )
        if events and (after := COLLECTION.fold(state, events)).public:
            allow(blocked, name=after.name, description=after.description)
        return events

    change = Change(COLLECTION, command.collection, decide, given=(BLOCKED,))
    return await needs.streams.transact(context, change)


async def add_member(command: AddMember, context: Context, needs: Needs) -> Accepted:
    """Only what one sees. Raises NotFound, Conflict."""
    by, member = command.by, command.member
    if member.kind is Kind.WORKFLOW:

        def add_workflow(state: Collection, found: Workflow) -> list[CollectionEvent]:
            collection.owned(state, by=by)
            workflows.visible(found, by=by)
            return collection.add(state, by=by, member=member)

        given: tuple[Source[Any, Any], ...] = (Source(WORKFLOW, WorkflowId(member.id)),)
        return await needs.streams.transact(
            context, Change(COLLECTION, command.collection, add_workflow, given=given)
        )

    shared, _ = await needs.streams.load(SHARED_OUTPUT, OutputId(member.id))
    if shared.shown is None:
        raise NotFound(NO_OUTPUT)

    def add_output(state: Collection, found: SharedOutput, run: Run) -> list[CollectionEvent]:
        collection.owned(state, by=by)
        shared_output.visible(found, run, by=by)
        return collection.add(state, by=by, member=member)

    given = (Source(SHARED_OUTPUT, OutputId(member.id)), Source(RUN, shared.shown.run))
    return await needs.streams.transact(
        context, Change(COLLECTION, command.collection, add_output, given=given)
    )


async def remove_member(command: RemoveMember, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""

    def decide(state: Collection) -> list[CollectionEvent]:
        return collection.remove(state, by=command.by, member=command.member)

    return await needs.streams.transact(context, Change(COLLECTION, command.collection, decide))


async def order_collection(command: OrderCollection, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid."""

    def decide(state: Collection) -> list[CollectionEvent]:
        return collection.order(state, by=command.by, members=command.members)

    return await needs.streams.transact(context, Change(COLLECTION, command.collection, decide))


async def delete_collection(command: DeleteCollection, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""

    def decide(state: Collection) -> list[CollectionEvent]:
        return collection.delete(state, by=command.by)

    return await needs.streams.transact(context, Change(COLLECTION, command.collection, decide))
