"""Outputs that are shown to everybody: their owner's wish, a moderator's word, and likes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from domain import output_like
from domain.account import Account, Role
from domain.ids import RunId, output_id
from domain.moderation import hide_output, show_output
from domain.output_like import OUTPUT_LIKE, OutputLiked, OutputUnliked
from domain.refusals import Conflict, NotFound
from domain.run import RUN, RunDeleted
from domain.shared_output import (
    SHARED_OUTPUT,
    OutputHidden,
    OutputPublished,
    OutputShownAgain,
    OutputWithdrawn,
    SharedOutput,
    publish,
    visible,
    withdraw,
)
from tests.domain.facts import (
    ANN,
    BOB,
    WORKFLOW_ID,
    claimed,
    output,
    output_stored,
    started,
    submitted,
    succeeded,
)
from tests.domain.scenario import Scenario
from tests.domain.test_properties import decided

shared, like = Scenario(SHARED_OUTPUT), Scenario(OUTPUT_LIKE)
RUN_ID = RunId(WORKFLOW_ID)
history = submitted, claimed, started, output_stored, succeeded
run = RUN.fold(RUN.initial, history)
unfinished, gone = RUN.fold(RUN.initial, history[:-1]), RUN.fold(run, [RunDeleted()])
AT: dict[str, Any] = {"run": RUN_ID, "node": output.node, "index": output.index}
published = OutputPublished(owner=ANN, run=RUN_ID, output=output, name="A fox", tags=("fox",))
BY: dict[str, Any] = {"by": BOB, "reason": "It is no fox."}
withdrawn, hidden, back = OutputWithdrawn(**AT), OutputHidden(**AT, **BY), OutputShownAgain(**AT, **BY)
moderator = Account(id=BOB, role=Role.MODERATOR)
LIKE: dict[str, Any] = {"by": BOB, "output": output_id(RUN_ID, output.node, output.index)}


def test_an_output_is_shown_described_otherwise_and_withdrawn() -> None:
    shared.given().when(publish, run=run, published=published).then(published).and_again_nothing()
    other = replace(published, name="  A vixen ", tags=("Fox", "fox"))
    shared.given(published).when(publish, run=run, published=other).then(replace(published, name="A vixen"))
    shared.given(published).when(withdraw, by=ANN).then(withdrawn).and_again_nothing()
    shared.given(published, withdrawn).when(publish, run=run, published=published).then(published)


def test_nobody_shows_what_is_not_theirs_not_settled_or_gone() -> None:
    shared.given().when(publish, run=run, published=replace(published, owner=BOB)).then_refused(NotFound)
    shared.given().when(publish, run=unfinished, published=published).then_refused(Conflict)
    shared.given().when(publish, run=gone, published=published).then_refused(NotFound)
    shared.given().when(publish, run=run, published=replace(published, name=" ")).then_invalid("name")
    shared.given().when(withdraw, by=ANN).then_refused(NotFound)
    shared.given(published).when(withdraw, by=BOB).then_refused(NotFound)


def test_what_is_hidden_only_its_owner_sees() -> None:
    shared.given(published).when(hide_output, moderator=moderator, **BY).then(hidden).and_again_nothing()
    state = SHARED_OUTPUT.fold(SharedOutput(), [published, hidden])
    assert visible(state, run, by=ANN) == published
    shared.given(published, hidden).when(visible, run=run, by=BOB).then_refused(NotFound)
    shared.given(published, hidden).when(publish, run=run, published=published).then_refused(Conflict)
    again = shared.given(published, hidden).when(show_output, moderator=moderator, **BY)
    again.then(back).and_again_nothing()
    own = replace(moderator, id=ANN)
    shared.given(published).when(hide_output, moderator=own, **BY).then_refused(Conflict)
    shared.given(published, withdrawn).when(hide_output, moderator=moderator, **BY).then_refused(NotFound)


def test_it_goes_with_its_run() -> None:
    shared.given(published).when(visible, run=gone, by=ANN).then_refused(NotFound)


def test_liking_twice_is_liking() -> None:
    state = SHARED_OUTPUT.fold(SharedOutput(), [published])
    given_ = OutputLiked(account=BOB, output=LIKE["output"], **AT)
    taken = OutputUnliked(account=BOB, output=LIKE["output"], **AT)
    like.given().when(output_like.give, liked=state, run=run, **LIKE).then(given_).and_again_nothing()
    like.given(given_).when(output_like.take_back).then(taken).and_again_nothing()
    nobody_sees = SHARED_OUTPUT.fold(state, [withdrawn])
    like.given().when(output_like.give, liked=nobody_sees, run=run, **LIKE).then_refused(NotFound)


@given(
    some.lists(
        some.sampled_from(
            [
                (publish, {"run": run, "published": published}),
                (withdraw, {"by": ANN}),
                (hide_output, {"moderator": moderator, **BY}),
                (show_output, {"moderator": moderator, **BY}),
            ]
        )
    )
)
def test_whatever_is_wished_twice_changes_nothing(wishes: list[tuple[Any, dict[str, Any]]]) -> None:
    state, events_so_far = SharedOutput(), list[Any]()
    for decide, wish in wishes:
        state, events = decided(SHARED_OUTPUT, state, decide, wish)
        assert decided(SHARED_OUTPUT, state, decide, wish)[1] == []
        events_so_far += events
    assert SHARED_OUTPUT.fold(SharedOutput(), events_so_far) == state
