"""What somebody shows of themselves."""

from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as some

from domain.account import Account
from domain.personal import Personal
from domain.profile import PROFILE, AvatarChanged, Profile, ProfileChanged, ProfileEvent, change, show
from domain.refusals import NotAuthenticated
from tests.domain.facts import ANN
from tests.domain.scenario import Scenario
from tests.domain.test_properties import decided

profile = Scenario(PROFILE)
there, gone = Account(id=ANN), Account(id=ANN, erased=True)
name, bio = Personal("sealed name"), Personal("sealed bio")
named = ProfileChanged(account=ANN, display_name=name)
pictured = AvatarChanged(account=ANN, avatar=UUID(int=1))


def test_only_what_is_new_is_told() -> None:
    profile.given().when(change, whose=there, display_name=name).then(named).and_again_nothing()
    both: dict[str, Any] = {"whose": there, "display_name": name, "bio": bio}
    profile.given(named).when(change, **both).then(ProfileChanged(account=ANN, bio=bio))
    profile.given(named).when(change, whose=there).then_nothing()


def test_a_picture_is_shown_and_taken_away() -> None:
    profile.given().when(show, whose=there, avatar=UUID(int=1)).then(pictured).and_again_nothing()
    profile.given(pictured).when(show, whose=there, avatar=None).then(
        AvatarChanged(account=ANN, avatar=None)
    ).and_again_nothing()
    profile.given().when(show, whose=there, avatar=None).then_nothing()


def test_whoever_is_gone_shows_nothing() -> None:
    for nobody in (gone, Account()):
        profile.given().when(change, whose=nobody, bio=bio).then_refused(NotAuthenticated)
        profile.given().when(show, whose=nobody, avatar=None).then_refused(NotAuthenticated)


sealed = some.none() | some.sampled_from([Personal("a"), Personal("b")])
wishes = some.tuples(
    some.just(change), some.fixed_dictionaries({"display_name": sealed, "bio": sealed, "links": sealed})
) | some.tuples(some.just(show), some.fixed_dictionaries({"avatar": some.none() | some.just(UUID(int=1))}))


@given(some.lists(wishes))
def test_the_log_tells_what_is_shown(wished: list[tuple[Any, dict[str, Any]]]) -> None:
    state, history = Profile(), list[ProfileEvent]()
    for decide, wish in wished:
        state, events = decided(PROFILE, state, decide, wish | {"whose": there})
        assert decided(PROFILE, state, decide, wish | {"whose": there})[1] == []
        history += events
    assert PROFILE.fold(PROFILE.initial, history) == state
