"""What an answer means, and when the next attempt is due."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.event import AnyRecorded, Recorded
from domain.ids import Actor, Position
from domain.workflow import WorkflowPublished
from services.ports.delivering import Answer, Attempted, Due
from services.webhooks.judging import Schedule, judged

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SCHEDULE = Schedule()
EVENT: AnyRecorded = Recorded(
    position=Position(7),
    stream=UUID(int=1),
    version=1,
    at=NOON,
    owner=None,
    actor=Actor("tests"),
    correlation=UUID(int=2),
    causation=None,
    event=WorkflowPublished(),
)


def judge(
    answer: Answer, *, attempts: int = 0, since: timedelta | None = None, dice: float = 0.5
) -> Attempted:
    first = None if since is None else NOON - since
    due = Due(id=UUID(int=3), attempts=attempts, first_attempt_at=first, event=EVENT)
    return judged(due, answer, at=NOON, duration_ms=1, schedule=SCHEDULE, dice=lambda: dice)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_delivery(status: int) -> None:
    assert (judge(Answer(status)).state, judge(Answer(status)).pause_s) == ("delivered", None)


@pytest.mark.parametrize(
    "status", [None, 100, 199, 300, 301, 307, 400, 401, 404, 410, 418, 429, 500, 503, 599, 999]
)
def test_everything_else_is_tried_again(status: int | None) -> None:
    attempted = judge(Answer(status, error="" if status else "nobody there"))
    assert (attempted.state, attempted.pause_s) == ("waiting", 5)
    assert attempted.error


def test_the_pauses_grow_up_to_an_hour() -> None:
    pauses = [judge(Answer(500), attempts=attempts).pause_s for attempts in range(8)]
    assert pauses == [5, 30, 120, 600, 1800, 3600, 3600, 3600]


def test_pauses_differ_by_a_fifth() -> None:
    assert judge(Answer(500), dice=0.0).pause_s == pytest.approx(4)
    assert judge(Answer(500), dice=1.0).pause_s == pytest.approx(6)


def test_after_a_day_it_is_given_up() -> None:
    almost = judge(Answer(500), attempts=30, since=timedelta(hours=24) - timedelta(seconds=1))
    assert almost.state == "waiting"
    assert judge(Answer(500), attempts=30, since=timedelta(hours=24)).state == "failed"
    assert judge(Answer(200), attempts=30, since=timedelta(hours=25)).state == "delivered"


@pytest.mark.parametrize(
    ("asked", "pause_s"),
    [
        ("120", 120.0),
        ("0", 1.0),
        (" 7 ", 7.0),
        ("999999999999999999999", 86400.0),
        ("Sat, 21 Nov 2026 12:10:00 GMT", 600.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 1.0),
        ("Sat, 21 Nov 2099 11:00:00 GMT", 86400.0),
        ("", 5),
        ("-5", 5),
        ("soon", 5),
        ("Sat, 21 Nov 2026 12:10:00", 5),
        ("\u0661\u0662", 5),
        ("Sat, 99 Nov 99999 12:10:00 GMT", 5),
    ],
)
def test_a_wish_to_be_asked_later_is_honoured(asked: str, pause_s: float) -> None:
    assert judge(Answer(503, retry_after=asked)).pause_s == pause_s
    assert judge(Answer(429, retry_after=asked)).pause_s == pause_s
    assert judge(Answer(500, retry_after=asked)).pause_s == 5


@given(asked=st.text(max_size=40), body=st.binary(max_size=3000))
def test_no_answer_is_a_fault(asked: str, body: bytes) -> None:
    attempted = judge(Answer(503, body, asked))
    assert attempted.pause_s is not None
    assert 1 <= attempted.pause_s <= 86400
    assert len(attempted.answer.encode("utf-16")) <= 2 * 1024 + 2
    assert "\x00" not in attempted.answer
