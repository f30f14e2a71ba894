"""Words that are not to stand in what everybody reads, and things that not everybody wants to see."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.account import Account, Role
from domain.moderation import mark_own_workflow, mark_workflow
from domain.refusals import Conflict, Invalid, NotFound
from domain.words import MAX_WORDS, WORDS, Words, WordsSet, allow, set_words
from domain.workflow import WORKFLOW, WorkflowMarked, WorkflowPublished
from tests.domain.facts import ANN, BOB, created, first_version
from tests.domain.scenario import Scenario

words, workflow = Scenario(WORDS), Scenario(WORKFLOW)
blocked = Words(("ass", "buy now", "strasse"))


def test_the_list_is_said_anew_once() -> None:
    wish = {"blocked": ("Spam", " buy  NOW ", "spam"), "reason": "Nobody wants it."}
    was_set = WordsSet(blocked=("buy now", "spam"), reason="Nobody wants it.")
    words.given().when(set_words, **wish).then(was_set).and_again_nothing()
    for wrong in (("",), ("x" * 101,), ("\x07",), tuple(str(number) for number in range(MAX_WORDS + 1))):
        words.given().when(set_words, blocked=wrong, reason="Because.").then_invalid("blocked")
    words.given().when(set_words, blocked=(), reason="").then_invalid("reason")


@pytest.mark.parametrize("text", ["Grass", "buy it now", "", "assess", "passt"])
def test_other_words_are_allowed(text: str) -> None:
    allow(blocked, name=text)


@pytest.mark.parametrize("text", ["ASS", "an ass.", "Buy\n now!", "STRASSE", "ａｓｓ", "'ass'"])
def test_a_blocked_word_is_named_with_its_field(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        allow(blocked, name="fine", description=text)
    assert [error.field for error in refusal.value.errors] == ["description"]


@given(some.lists(some.text(min_size=1, max_size=20), max_size=5))
def test_whatever_is_blocked_is_found(listed: list[str]) -> None:
    usable = tuple(word for word in listed if word.split() and word.isprintable())
    try:
        state = WORDS.fold(Words(), set_words(Words(), blocked=usable, reason="Because."))
    except Invalid:
        return  # folded, it cannot be shown any more
    for word in state.blocked:
        with pytest.raises(Invalid):
            allow(state, text=f"So {word.upper() if word.isascii() else word}!")


def test_a_moderators_word_counts_more_than_the_owners() -> None:
    moderator, by = Account(id=BOB, role=Role.MODERATOR), {"by": BOB, "reason": "Blood."}
    published = created, first_version, WorkflowPublished()
    own = WorkflowMarked(by=ANN, sensitive=True)
    judged = WorkflowMarked(**by, sensitive=True, judged=True)
    cleared = WorkflowMarked(**by, sensitive=False)
    mark: dict[str, Any] = {"moderator": moderator, **by}
    workflow.given(*published).when(mark_own_workflow, by=ANN, sensitive=True).then(own).and_again_nothing()
    workflow.given(*published, own).when(mark_own_workflow, by=ANN, sensitive=False).then(
        WorkflowMarked(by=ANN, sensitive=False)
    )
    workflow.given(*published).when(mark_own_workflow, by=BOB, sensitive=True).then_refused(NotFound)
    for before in (published, (*published, own)):
        marked = workflow.given(*before).when(mark_workflow, sensitive=True, **mark)
        marked.then(judged).and_again_nothing()
    workflow.given(*published, judged).when(mark_own_workflow, by=ANN, sensitive=False).then_refused(Conflict)
    workflow.given(*published, judged).when(mark_workflow, sensitive=False, **mark).then(cleared)
    workflow.given(created).when(mark_workflow, sensitive=True, **mark).then_refused(NotFound)
