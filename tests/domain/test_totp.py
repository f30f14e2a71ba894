"""Codes of RFC 6238: its own examples, the drift of clocks, and what is no code."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.totp import STEP_S, code_of, step_at, step_of

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_examples_of_the_standard(seconds: int, code: str) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    assert code_of(SECRET, step_at(at)) == code
    assert step_of(SECRET, code, at) == seconds // STEP_S


def test_a_clock_may_be_a_step_before_or_behind() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    for steps, taken in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = code_of(SECRET, step_at(now + timedelta(seconds=steps * STEP_S)))
        assert (step_of(SECRET, code, now) is not None) == taken


@pytest.mark.parametrize("code", ["", "1", "28708", "2870820", "２８７０８２", "287 082", "abcdef"])
def test_what_is_no_code_is_a_wrong_one(code: str) -> None:
    assert step_of(SECRET, code, datetime.fromtimestamp(59, UTC)) is None
