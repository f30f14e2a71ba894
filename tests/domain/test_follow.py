"""Following begins and ends, and is never twice."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from domain.account import Account
from domain.follow import FOLLOW, Follow, FollowBegun, FollowEnded, FollowEvent, begin, end
from domain.refusals import Conflict, NotFound
from tests.domain.facts import ANN, BOB
from tests.domain.scenario import Scenario
from tests.domain.test_properties import decided

follow = Scenario(FOLLOW)
begun, ended = FollowBegun(follower=BOB, followed=ANN), FollowEnded(follower=BOB, followed=ANN)
there, gone = Account(id=ANN), Account(id=ANN, erased=True)
BY: dict[str, Any] = {"by": BOB, "account": ANN}


def test_somebody_is_followed_once_and_again_after_it_has_ended() -> None:
    follow.given().when(begin, who=there, **BY).then(begun).and_again_nothing()
    follow.given(begun).when(end, **BY).then(ended).and_again_nothing()
    follow.given(begun, ended).when(begin, who=there, **BY).then(begun)
    follow.given().when(end, **BY).then_nothing()


def test_nobody_follows_themselves_or_who_is_gone() -> None:
    follow.given().when(begin, who=there, by=ANN, account=ANN).then_refused(Conflict)
    for nobody in (gone, Account()):
        follow.given().when(begin, who=nobody, **BY).then_refused(NotFound)


@given(some.lists(some.sampled_from([(begin, {"who": there}), (begin, {"who": gone}), (end, {})])))
def test_beginnings_and_ends_take_turns_whatever_is_wished(wishes: list[tuple[Any, dict[str, Any]]]) -> None:
    state, history = Follow(), list[FollowEvent]()
    for decide, wish in wishes:
        state, events = decided(FOLLOW, state, decide, wish | BY)
        assert decided(FOLLOW, state, decide, wish | BY)[1] == []
        history += events
    kinds = [FollowBegun, FollowEnded] * (len(history) // 2) + ([FollowBegun] if state.lasts else [])
    assert [type(event) for event in history] == kinds
    assert FOLLOW.fold(FOLLOW.initial, history) == state
