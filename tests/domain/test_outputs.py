"""What becomes of the files of a run that is over, and how an account wants them handled."""

import pytest
from msgspec.structs import replace

from domain.handling import (
    HANDLING,
    RenditionChosen,
    Retention,
    RetentionChosen,
    choose_rendition,
    choose_retention,
)
from domain.outputs import delete, expire, star, unstar
from domain.refusals import Conflict, Invalid, NotFound
from domain.rendition import AS_MADE, Format, Rendition, from_short, in_short
from domain.run import RUN, OutputDeleted, OutputStarred, OutputStored, OutputUnstarred, RunDeleted
from domain.run import delete as delete_run
from tests.domain.facts import ANN, BOB, claimed, output, output_stored, started, submitted, succeeded
from tests.domain.scenario import Scenario

AT = {"node": "9", "index": 0}
OTHER = {"node": "9", "index": 1}
run = Scenario(RUN)
running = run.given(
    submitted,
    claimed,
    started,
    output_stored,
    OutputStored(epoch=1, output=replace(output, index=1, size_bytes=7)),
)
over = running.given(succeeded)
starred, unstarred = OutputStarred(node="9", index=0), OutputUnstarred(node="9", index=0)
deleted = OutputDeleted(node="9", index=0, size_bytes=1234)
chosen = Scenario(HANDLING)
WEBP = Rendition(format=Format.WEBP, quality=80, metadata=False)


def test_an_output_is_starred_and_unstarred_and_twice_changes_nothing() -> None:
    over.when(star, by=ANN, **AT).then(starred).and_again_nothing()
    over.given(starred).when(unstar, by=ANN, **AT).then(unstarred).and_again_nothing()
    over.when(unstar, by=ANN, **AT).then_nothing()


def test_an_output_is_deleted_and_twice_changes_nothing() -> None:
    over.when(delete, by=ANN, **AT).then(deleted).and_again_nothing()
    over.given(starred).when(delete, by=ANN, **AT).then(deleted)
    over.given(deleted).when(star, by=ANN, **AT).then_refused(NotFound)
    over.given(deleted).when(star, by=ANN, **OTHER).then(OutputStarred(**OTHER))  # type: ignore[arg-type]


@pytest.mark.parametrize("decide", [star, unstar, delete])
def test_outputs_are_their_owners_and_of_runs_that_are_over(decide: object) -> None:
    over.when(decide, by=BOB, **AT).then_refused(NotFound)  # type: ignore[arg-type]
    over.when(decide, by=ANN, node="9", index=2).then_refused(NotFound)  # type: ignore[arg-type]
    over.given(RunDeleted(outputs=2)).when(decide, by=ANN, **AT).then_refused(NotFound)  # type: ignore[arg-type]
    running.when(decide, by=ANN, **AT).then_refused(Conflict, "not over")  # type: ignore[arg-type]


def test_a_run_counts_the_outputs_that_it_still_has() -> None:
    over.given(deleted).when(delete_run, by=ANN).then(RunDeleted(outputs=1))


def test_what_falls_under_a_rule_goes_unless_it_was_spared_meanwhile() -> None:
    wish = AT | {"owner": ANN, "spare_starred": True, "reason": "Older than 30 days."}
    gone = replace(deleted, reason="Older than 30 days.")
    over.when(expire, **wish).then(gone).and_again_nothing()
    over.given(starred).when(expire, **wish).then_nothing()
    over.given(starred).when(expire, **wish | {"spare_starred": False}).then(gone)
    running.when(expire, **wish).then_nothing()
    over.when(expire, **wish | {"owner": BOB}).then_nothing()
    over.given(RunDeleted(outputs=2)).when(expire, **wish).then_nothing()


def test_an_account_chooses_a_rendition_and_twice_changes_nothing() -> None:
    event = RenditionChosen(account=ANN, rendition=WEBP)
    chosen.when(choose_rendition, by=ANN, rendition=WEBP).then(event).and_again_nothing()
    chosen.when(choose_rendition, by=ANN, rendition=AS_MADE).then_nothing()
    for quality in (5, 82, 105):
        wrong = replace(WEBP, quality=quality)
        chosen.when(choose_rendition, by=ANN, rendition=wrong).then_invalid("quality")


def test_an_account_chooses_what_is_kept_and_twice_changes_nothing() -> None:
    kept = Retention(days=30)
    event = RetentionChosen(account=ANN, retention=kept)
    chosen.when(choose_retention, by=ANN, retention=kept).then(event).and_again_nothing()
    back = RetentionChosen(account=ANN, retention=None)
    chosen.given(event).when(choose_retention, by=ANN, retention=None).then(back).and_again_nothing()
    for wrong in (Retention(days=0), Retention(size_bytes=-1), Retention(days=10**9)):
        chosen.when(choose_retention, by=ANN, retention=wrong).then_refused(Invalid)


@pytest.mark.parametrize(
    ("rendition", "short"),
    [
        (AS_MADE, "original"),
        (Rendition(quality=50), "original"),
        (Rendition(metadata=False), "original-bare"),
        (Rendition(format=Format.PNG), "png"),
        (Rendition(format=Format.JPEG, quality=100), "jpeg-100"),
        (WEBP, "webp-80-bare"),
    ],
)
def test_a_rendition_has_one_short_word(rendition: Rendition, short: str) -> None:
    assert in_short(rendition) == short
    read = from_short(short)
    assert read is not None
    assert in_short(read) == short


@pytest.mark.parametrize(
    "text", ["", "tiff", "webp", "webp-81", "webp-080", "webp-80-bare-bare", "jpeg-٨٠", "png-90", "bare"]
)
def test_a_word_that_is_none_of_ours_is_no_rendition(text: str) -> None:
    assert from_short(text) is None
