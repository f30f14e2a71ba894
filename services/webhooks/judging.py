"""What an answer means: delivered, to be tried again and when, or not wanted."""

from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from msgspec import Struct

from commands.webhook_state import DeliveryState
from services.ports.delivering import Answer, Attempted, Due

GONE = 410
BUSY = (429, 503)
KEPT_BYTES = 1024  # of an answer


class Schedule(Struct, frozen=True, kw_only=True):
    """`pauses_s`: before the second attempt, the third ...; the last again and again, until `patience` ends."""

    pauses_s: tuple[float, ...] = (5, 30, 120, 600, 1800, 3600)
    jitter: float = 0.2
    patience: timedelta = timedelta(hours=24)


def judged(
    due: Due, answer: Answer, *, at: datetime, duration_ms: int, schedule: Schedule, dice: Callable[[], float]
) -> Attempted:
    """`at`: when it was sent. `dice` throws 0 to 1."""
    state, pause_s = DeliveryState.WAITING, None
    if answer.status is not None and 200 <= answer.status < 300:
        state = DeliveryState.DELIVERED
    elif due.event is None or at - (due.first_attempt_at or at) >= schedule.patience:
        state = DeliveryState.FAILED
    else:
        pause_s = asked_pause_s(answer, at, schedule) or pause(due.attempts, schedule, dice)
    return Attempted(
        delivery=due.id,
        state=state,
        at=at,
        duration_ms=duration_ms,
        status=answer.status,
        answer=_text(answer.body),
        error=answer.error or _refusal(answer.status),
        pause_s=pause_s,
    )


def pause(attempts: int, schedule: Schedule, dice: Callable[[], float]) -> float:
    """Seconds before the next attempt, after one more than `attempts`."""
    base = schedule.pauses_s[min(attempts, len(schedule.pauses_s) - 1)]
    return base * (1 + schedule.jitter * (2 * dice() - 1))


def asked_pause_s(answer: Answer, now: datetime, schedule: Schedule) -> float | None:
    """What the receiver asks for in Retry-After: seconds, or a date; never longer than our patience."""
    asked = answer.retry_after.strip()
    if answer.status not in BUSY or not asked:
        return None
    longest_s = schedule.patience.total_seconds()
    if asked.isascii() and asked.isdigit():
        seconds = float(asked[:9])
    else:
        try:
            at = parsedate_to_datetime(asked)
            seconds = (at - now).total_seconds()
        except (ValueError, TypeError, OverflowError):  # a date without a zone is none
            return None
    return min(max(seconds, 1.0), longest_s)


def _refusal(status: int | None) -> str:
    if status is None or 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return "It answered with a redirect; these are not followed."
    return f"It answered {status}."


def _text(body: bytes) -> str:
    return body[:KEPT_BYTES].decode(errors="replace").replace("\x00", "\ufffd")
