"""What is reported about a thing: by whom, why, and what those who keep order decide. One stream for each thing."""

from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.reasons import stated
from domain.refusals import Conflict, FieldError, Invalid, NotFound


class Kind(StrEnum):
    """What can be reported."""

    WORKFLOW = "workflow"
    OUTPUT = "output"
    COMMENT = "comment"
    ACCOUNT = "account"


class Reason(StrEnum):
    SPAM = "spam"
    HARASSMENT = "harassment"
    SEXUAL = "sexual"
    VIOLENCE = "violence"
    ILLEGAL = "illegal"
    COPYRIGHT = "copyright"
    OTHER = "other"


class ReportMade(Event, frozen=True, kw_only=True, tag="report.made.v1"):
    """`said`: the beginning of what it said then. `owner`: whose it is."""

    kind: Kind
    subject: UUID
    owner: AccountId
    by: AccountId
    reason: Reason
    text: str = ""
    said: str = ""


class ReportsDismissed(Event, frozen=True, kw_only=True, tag="report.dismissed.v1"):
    """Nothing is wrong with it."""

    by: AccountId
    reason: str


class ReportsUpheld(Event, frozen=True, kw_only=True, tag="report.upheld.v1"):
    """It was hidden, perhaps before anybody reported it."""

    kind: Kind
    subject: UUID
    owner: AccountId
    by: AccountId
    reason: str
    said: str = ""


class HidingUndone(Event, frozen=True, kw_only=True, tag="report.undone.v1"):
    """It is shown again."""

    by: AccountId
    reason: str


ReportEvent: TypeAlias = ReportMade | ReportsDismissed | ReportsUpheld | HidingUndone

MAX_TEXT = 2_000
MAX_SAID = 500
MAX_OPEN = 500  # reports of one thing that nobody has decided about: one more tells nothing new


class Case(Struct, frozen=True):
    """`open`: who has reported it since the last decision. `known`: whether anything ever was decided or reported."""

    open: tuple[AccountId, ...] = ()
    known: bool = False
    hidden: bool = False


def evolve(case: Case, event: ReportEvent) -> Case:
    match event:
        case ReportMade(by=by):
            return replace(case, open=(*case.open, by), known=True)
        case ReportsDismissed():
            return replace(case, open=())
        case ReportsUpheld():
            return Case(known=True, hidden=True)
        case HidingUndone():
            return Case(known=True)


REPORT: Decider[Case, ReportEvent] = Decider("report", Case(), evolve, lambda case: None)


def make(case: Case, *, made: ReportMade) -> list[ReportEvent]:
    """Tell those who keep order. Telling them twice, before they have decided, tells nothing new."""
    if made.by == made.owner:
        raise Conflict("This is your own.")
    text = made.text.strip()
    if len(text) > MAX_TEXT or any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text):
        raise Invalid(
            "The text cannot be taken.",
            FieldError("text", f"It may have {MAX_TEXT} characters at most, and no control characters."),
        )
    if made.by in case.open or len(case.open) >= MAX_OPEN:
        return []
    return [replace(made, text=text, said=made.said[:MAX_SAID])]


def dismiss(case: Case, *, by: AccountId, reason: str) -> list[ReportEvent]:
    """Leave it as it is."""
    because = stated(reason)
    if not case.known:
        raise NotFound("Nothing is reported about it.")
    return [ReportsDismissed(by=by, reason=because)] if case.open else []


def uphold(case: Case, *, upheld: ReportsUpheld) -> list[ReportEvent]:
    """It is hidden in the same breath, or was before it was reported once more."""
    because = stated(upheld.reason)
    if case.hidden and not case.open:
        return []
    return [replace(upheld, reason=because, said=upheld.said[:MAX_SAID])]


def undo(case: Case, *, by: AccountId, reason: str) -> list[ReportEvent]:
    """It is shown again in the same breath."""
    because = stated(reason)
    return [HidingUndone(by=by, reason=because)] if case.hidden else []
