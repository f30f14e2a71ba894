"""Being told of things: each once, likes together, and never again what was read."""

from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from domain.ids import Position
from domain.notice import (
    NOTICES,
    Kind,
    NoticeGiven,
    NoticeMailSet,
    NoticeRead,
    NoticesRead,
    give,
    read,
    read_all,
    set_mail,
)
from domain.refusals import Conflict
from tests.domain.facts import ANN, BOB, WORKFLOW_ID
from tests.domain.scenario import Scenario

notices = Scenario(NOTICES)
followed = NoticeGiven(account=ANN, kind=Kind.FOLLOWED, cause=Position(5), by=BOB)
liked = NoticeGiven(account=ANN, kind=Kind.LIKED, cause=Position(6), workflow=WORKFLOW_ID)
ONE = UUID(int=1)


def at(told: NoticeGiven, cause: int) -> NoticeGiven:
    return replace(told, cause=Position(cause))


def test_what_was_told_is_not_told_again() -> None:
    notices.given().when(give, given=[followed, liked]).then(followed, liked).and_again_nothing()
    notices.given(followed).when(give, given=[followed, liked]).then(liked)


def test_likes_that_come_together_are_one_notice() -> None:
    told = [liked, at(followed, 7), at(liked, 8), at(liked, 9)]
    both = replace(at(liked, 9), count=3)
    notices.given().when(give, given=told).then(at(followed, 7), both).and_again_nothing()


def test_reading_is_written_down_once() -> None:
    one: dict[str, Any] = {"account": ANN, "notice": ONE, "upto": Position(9)}
    notices.given().when(read, **one).then(NoticeRead(**one)).and_again_nothing()
    everything = NoticesRead(account=ANN, upto=Position(9))
    notices.given().when(read_all, account=ANN, upto=Position(9)).then(everything).and_again_nothing()
    notices.given(everything).when(read, **one).then_nothing()
    notices.given(everything).when(read, **one | {"upto": Position(10)}).then(
        NoticeRead(**one | {"upto": 10})
    )


def test_mail_is_for_who_has_confirmed_an_address() -> None:
    wish = {"account": ANN, "wanted": True}
    on = NoticeMailSet(account=ANN, wanted=True)
    notices.given().when(set_mail, **wish, confirmed=True).then(on).and_again_nothing()
    notices.given().when(set_mail, **wish, confirmed=False).then_refused(Conflict)
    off = notices.given(on).when(set_mail, account=ANN, wanted=False, confirmed=False)
    off.then(NoticeMailSet(account=ANN, wanted=False)).and_again_nothing()


@given(some.lists(some.sampled_from([followed, liked]), max_size=12), some.lists(some.integers(0, 12)))
def test_pages_that_come_again_in_other_pieces_tell_nothing_twice(
    happened: list[NoticeGiven], crashes: list[int]
) -> None:
    log = [at(each, place) for place, each in enumerate(happened, 1)]
    state, told = NOTICES.initial, list[Any]()
    for upto in [*sorted(crashes), len(log)]:
        events = give(state, given=log[:upto])
        state, told = NOTICES.fold(state, events), told + events
    assert sum(each.count for each in told) == len(log)
