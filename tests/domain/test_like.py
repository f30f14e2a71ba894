"""A like is given and taken back, and counts once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from domain.like import LIKE, Like, LikeEvent, LikeGiven, LikeTakenBack, give, take_back
from domain.refusals import NotFound
from domain.workflow import WORKFLOW, Workflow, WorkflowDeleted, WorkflowPublished, WorkflowWithdrawn
from tests.domain.facts import ANN, BOB, WORKFLOW_ID, created, first_version
from tests.domain.scenario import Scenario
from tests.domain.test_properties import decided

like = Scenario(LIKE)
given_, taken_back = (
    LikeGiven(account=BOB, workflow=WORKFLOW_ID),
    LikeTakenBack(account=BOB, workflow=WORKFLOW_ID),
)
private = WORKFLOW.fold(Workflow(), [created, first_version])
public = WORKFLOW.fold(private, [WorkflowPublished()])
hidden = WORKFLOW.fold(public, [WorkflowWithdrawn()])
deleted = WORKFLOW.fold(public, [WorkflowDeleted()])
BY: dict[str, Any] = {"by": BOB, "workflow": WORKFLOW_ID}


def test_what_is_public_is_liked_once() -> None:
    like.given().when(give, liked=public, **BY).then(given_).and_again_nothing()


def test_a_like_is_taken_back_once_and_may_be_given_again() -> None:
    like.given(given_).when(take_back, liked=public, **BY).then(taken_back).and_again_nothing()
    like.given(given_, taken_back).when(give, liked=public, **BY).then(given_)


def test_what_one_may_not_see_is_not_there_to_be_liked() -> None:
    for unseen in (private, hidden, deleted, Workflow()):
        like.given().when(give, liked=unseen, **BY).then_refused(NotFound)
        like.given().when(take_back, liked=unseen, **BY).then_refused(NotFound)
        like.given(given_, taken_back).when(take_back, liked=unseen, **BY).then_refused(NotFound)


def test_ones_own_may_be_liked_before_others_see_it() -> None:
    mine = {"by": ANN, "workflow": WORKFLOW_ID}
    like.given().when(give, liked=private, **mine).then(LikeGiven(account=ANN, workflow=WORKFLOW_ID))


def test_a_like_of_what_was_hidden_since_can_be_taken_back() -> None:
    for unseen in (hidden, deleted):
        like.given(given_).when(take_back, liked=unseen, **BY).then(taken_back)


@given(some.lists(some.tuples(some.sampled_from([give, take_back]), some.sampled_from([public, hidden]))))
def test_gifts_and_returns_take_turns_whatever_is_wished(wishes: list[tuple[Any, Workflow]]) -> None:
    state, history = Like(), list[LikeEvent]()
    for decide, liked in wishes:
        state, events = decided(LIKE, state, decide, {"liked": liked, **BY})
        assert decided(LIKE, state, decide, {"liked": liked, **BY})[1] == []
        history += events
    assert [type(event) for event in history] == [LikeGiven, LikeTakenBack] * (len(history) // 2) + (
        [LikeGiven] if state.given else []
    )
    assert LIKE.fold(LIKE.initial, history) == state
