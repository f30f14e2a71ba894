"""Collections: begun, filled, ordered, and their owner's alone to change."""

from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as some

from domain.collection import (
    COLLECTION,
    MAX_MEMBERS,
    Collection,
    CollectionBegun,
    CollectionChanged,
    CollectionDeleted,
    CollectionOrdered,
    Kind,
    Member,
    MemberAdded,
    MemberRemoved,
    add,
    begin,
    change,
    delete,
    order,
    remove,
)
from domain.refusals import Conflict, NotFound
from tests.domain.facts import ANN, BOB
from tests.domain.scenario import Scenario
from tests.domain.test_properties import decided

collection = Scenario(COLLECTION)
begun = CollectionBegun(owner=ANN, name="Foxes")
ONE, TWO = Member(Kind.WORKFLOW, UUID(int=1)), Member(Kind.OUTPUT, UUID(int=1))
first, second = MemberAdded(member=ONE), MemberAdded(member=TWO)


def test_it_is_begun_and_changed() -> None:
    collection.given().when(begin, owner=ANN, name=" Foxes ").then(begun)
    collection.given().when(begin, owner=ANN, name="").then_invalid("name")
    wish: dict[str, Any] = {"by": ANN, "name": "Vixens", "public": True}
    changed = CollectionChanged(name="Vixens", public=True)
    collection.given(begun).when(change, **wish).then(changed).and_again_nothing()
    collection.given(begun).when(change, by=ANN, description="x" * 10_001).then_invalid("description")


def test_members_come_once_go_and_are_put_in_order() -> None:
    collection.given(begun).when(add, by=ANN, member=ONE).then(first).and_again_nothing()
    gone = MemberRemoved(member=ONE)
    collection.given(begun, first).when(remove, by=ANN, member=ONE).then(gone).and_again_nothing()
    ordered = CollectionOrdered(members=(TWO, ONE))
    both = collection.given(begun, first, second)
    both.when(order, by=ANN, members=[TWO, ONE]).then(ordered).and_again_nothing()
    for wrong in ([ONE], [ONE, ONE], [ONE, TWO, TWO], [ONE, Member(Kind.OUTPUT, UUID(int=9))]):
        both.when(order, by=ANN, members=wrong).then_invalid("members")


def test_a_full_one_takes_no_more() -> None:
    many = [MemberAdded(member=Member(Kind.OUTPUT, UUID(int=number))) for number in range(MAX_MEMBERS)]
    collection.given(begun, *many).when(add, by=ANN, member=ONE).then_refused(Conflict)
    ordered = CollectionOrdered(members=tuple(each.member for each in reversed(many)))
    collection.given(begun, *many).when(order, by=ANN, members=ordered.members).then(ordered)


def test_only_its_owner_changes_it() -> None:
    for decide, wish in (
        (change, {"name": "x"}),
        (add, {"member": ONE}),
        (delete, {}),
        (order, {"members": []}),
    ):
        collection.given(begun).when(decide, by=BOB, **wish).then_refused(NotFound)
    collection.given(begun).when(delete, by=ANN).then(CollectionDeleted()).and_again_nothing()
    collection.given(begun, CollectionDeleted()).when(add, by=ANN, member=ONE).then_refused(NotFound)


@given(
    some.lists(
        some.sampled_from(
            [
                (begin, {"owner": ANN, "name": "Foxes"}),
                *(
                    (decide, {"by": ANN, "member": member})
                    for decide in (add, remove)
                    for member in (ONE, TWO)
                ),
                (order, {"by": ANN, "members": (TWO, ONE)}),
                (change, {"by": ANN, "public": True}),
            ]
        )
    )
)
def test_no_member_is_ever_twice_in_it(wishes: list[tuple[Any, dict[str, Any]]]) -> None:
    state, history = Collection(), list[Any]()
    for decide, wish in wishes:
        state, events = decided(COLLECTION, state, decide, wish)
        assert decided(COLLECTION, state, decide, wish)[1] == []
        history += events
    assert COLLECTION.fold(Collection(), history) == state
    assert len(set(state.members)) == len(state.members)
