"""Events that a read model leaves out, by somebody's decision."""

import pytest

from domain.ids import Position
from domain.projection import (
    MAX_REASON,
    PROJECTION,
    ProjectionEventSkipped,
    ProjectionSkipWithdrawn,
    skip,
    withdraw_skip,
)
from tests.domain.scenario import Scenario

gallery = Scenario(PROJECTION)
SEVEN = Position(7)
skipped = ProjectionEventSkipped(projection="gallery", position=SEVEN, reason="A leftover.", fault="KeyError")
withdrawn = ProjectionSkipWithdrawn(projection="gallery", position=SEVEN, reason="Mended.")


def test_an_event_is_skipped_once() -> None:
    wish = gallery.given().when(
        skip, projection="gallery", position=SEVEN, reason=" A leftover. ", fault="KeyError"
    )
    wish.then(skipped).and_again_nothing()


def test_another_one_is_another_decision() -> None:
    wish = gallery.given(skipped).when(skip, projection="gallery", position=Position(8), reason="Too.")
    wish.then(ProjectionEventSkipped(projection="gallery", position=Position(8), reason="Too."))


def test_what_was_skipped_is_taken_in_again() -> None:
    wish = gallery.given(skipped).when(withdraw_skip, projection="gallery", position=SEVEN, reason="Mended.")
    wish.then(withdrawn).and_again_nothing()
    gallery.given().when(withdraw_skip, projection="gallery", position=SEVEN, reason="x").then_nothing()
    gallery.given(skipped, withdrawn).when(
        skip, projection="gallery", position=SEVEN, reason="A leftover.", fault="KeyError"
    ).then(skipped)


@pytest.mark.parametrize("reason", ["", " \n", "x" * (MAX_REASON + 1), "a\x00b", "a\x1bb"])
def test_nothing_is_skipped_without_a_reason(reason: str) -> None:
    for decide in (skip, withdraw_skip):
        gallery.given(skipped).when(decide, projection="gallery", position=SEVEN, reason=reason).then_invalid(
            "reason"
        )


def test_a_long_fault_is_cut() -> None:
    (event,) = skip(PROJECTION.initial, projection="g", position=SEVEN, reason="x", fault="y" * 99_999)
    assert isinstance(event, ProjectionEventSkipped)
    assert len(event.fault) == MAX_REASON
