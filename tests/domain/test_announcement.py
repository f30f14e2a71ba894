"""What is announced, and when it is over."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.announcement import (
    ANNOUNCEMENTS,
    MAX_OPEN,
    AnnouncementChanged,
    AnnouncementEnded,
    AnnouncementPosted,
    Announcements,
    Notice,
    Severity,
    change,
    end,
    post,
)
from domain.ids import AnnouncementId
from domain.refusals import Conflict, Invalid, NotFound
from tests.domain.facts import NOON
from tests.domain.scenario import Scenario

announcements = Scenario(ANNOUNCEMENTS)
ID, OTHER = AnnouncementId(UUID(int=1)), AnnouncementId(UUID(int=2))
HOUR = timedelta(hours=1)
notice = Notice(text="We are away.", severity=Severity.WARNING, starts_at=NOON, ends_at=NOON + HOUR)
posted = AnnouncementPosted(announcement=ID, notice=notice, reason="New machines.")
ended = AnnouncementEnded(announcement=ID, reason="They are here.")


def test_an_announcement_is_posted() -> None:
    announcements.given().when(post, announcement=ID, notice=notice, reason=" New machines. ", now=NOON).then(
        posted
    )


def test_those_that_are_over_are_ended_by_the_next() -> None:
    announcements.given(posted).when(
        post, announcement=OTHER, notice=notice, reason="Again.", now=NOON + HOUR
    ).then(
        AnnouncementEnded(announcement=ID, reason="Its time was over."),
        AnnouncementPosted(announcement=OTHER, notice=notice, reason="Again."),
    )


def test_what_it_says_is_changed_once() -> None:
    other = Notice(text="We are back.", starts_at=NOON)
    changed = AnnouncementChanged(announcement=ID, notice=other, reason="Done.")
    announcements.given(posted).when(change, announcement=ID, notice=other, reason="Done.").then(changed)
    announcements.given(posted, changed).when(
        change, announcement=ID, notice=other, reason="Done."
    ).then_nothing()


def test_what_has_ended_is_not_there() -> None:
    announcements.given(posted).when(end, announcement=ID, reason="They are here.").then(ended)
    announcements.given(posted, ended).when(end, announcement=ID, reason="Again.").then_refused(NotFound)
    announcements.given(posted, ended).when(
        change, announcement=ID, notice=notice, reason="Again."
    ).then_refused(NotFound)


@pytest.mark.parametrize(
    "wrong",
    [
        Notice(text=" ", starts_at=NOON),
        Notice(text="x" * 4_001, starts_at=NOON),
        Notice(text="a\x07b", starts_at=NOON),
        Notice(text="Ends before it starts.", starts_at=NOON, ends_at=NOON),
    ],
)
def test_what_cannot_be_announced_is_refused(wrong: Notice) -> None:
    announcements.given().when(post, announcement=ID, notice=wrong, reason="So.", now=NOON).then_refused(
        Invalid
    )


def test_nothing_is_announced_without_a_reason() -> None:
    announcements.given().when(post, announcement=ID, notice=notice, reason=" ", now=NOON).then_refused(
        Invalid
    )


def test_only_so_many_are_open_at_once() -> None:
    lasting = Notice(text="Always.", starts_at=NOON)
    many = [
        AnnouncementPosted(announcement=AnnouncementId(UUID(int=number)), notice=lasting, reason="So.")
        for number in range(10, 10 + MAX_OPEN)
    ]
    announcements.given(*many).when(
        post, announcement=ID, notice=lasting, reason="So.", now=NOON
    ).then_refused(Conflict)


def test_an_announcement_is_shown_while_it_is_time() -> None:
    state = ANNOUNCEMENTS.fold(Announcements(), [posted])
    assert not state.shown(NOON - timedelta(seconds=1))
    assert state.shown(NOON) == {ID: notice}
    assert not state.shown(NOON + HOUR)
