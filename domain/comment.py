"""A comment on a workflow, or an answer to another comment. Its text is text: nothing in it is ever interpreted."""

import re
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain import workflow as workflows
from domain.account import Role
from domain.event import Decider, Event
from domain.ids import AccountId, CommentId, WorkflowId
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.workflow import Workflow


class CommentPosted(Event, frozen=True, kw_only=True, tag="comment.posted.v1"):
    """`mentions`: the accounts that are named in it as `@name`."""

    owner: AccountId
    workflow: WorkflowId
    text: str
    parent: CommentId | None = None
    mentions: tuple[AccountId, ...] = ()


class CommentEdited(Event, frozen=True, kw_only=True, tag="comment.edited.v1"):
    text: str
    mentions: tuple[AccountId, ...] = ()


class CommentDeleted(Event, frozen=True, kw_only=True, tag="comment.deleted.v1"):
    """`by`: whoever wrote it, or somebody who keeps order."""

    workflow: WorkflowId
    by: AccountId


class CommentHidden(Event, frozen=True, kw_only=True, tag="comment.hidden.v1"):
    """By somebody who keeps order: only who wrote it sees it, and why."""

    workflow: WorkflowId
    by: AccountId
    reason: str


class CommentShownAgain(Event, frozen=True, kw_only=True, tag="comment.shown_again.v1"):
    workflow: WorkflowId
    by: AccountId
    reason: str


CommentEvent: TypeAlias = CommentPosted | CommentEdited | CommentDeleted | CommentHidden | CommentShownAgain

MAX_TEXT = 4_000
MAX_MENTIONS = 20
MENTION = re.compile(r"(?<![\w@.-])@([A-Za-z0-9][A-Za-z0-9_.-]{1,38}[A-Za-z0-9])(?![\w@])")
NO_COMMENT = "There is no such comment."


class Comment(Struct, frozen=True):
    owner: AccountId | None = None
    workflow: WorkflowId | None = None
    text: str = ""
    deleted: bool = False
    hidden: bool = False


def evolve(comment: Comment, event: CommentEvent) -> Comment:
    match event:
        case CommentPosted(owner=owner, workflow=workflow, text=text):
            return Comment(owner, workflow, text)
        case CommentEdited(text=text):
            return replace(comment, text=text)
        case CommentDeleted():
            return replace(comment, text="", deleted=True)
        case CommentHidden():
            return replace(comment, hidden=True)
        case CommentShownAgain():
            return replace(comment, hidden=False)


COMMENT: Decider[Comment, CommentEvent] = Decider(
    "comment", Comment(), evolve, lambda comment: comment.owner, shape=2
)


def post(
    comment: Comment,
    place: Workflow,
    parent: Comment | None = None,
    *,
    by: AccountId,
    workflow: WorkflowId,
    text: str,
    answers: CommentId | None = None,
    mentions: tuple[AccountId, ...] = (),
) -> list[CommentEvent]:
    """Say something about a workflow that one may see, or answer what somebody has said there."""
    workflows.visible(place, by=by)
    if comment.owner is not None:
        raise Conflict("This comment exists already.")
    if parent is not None and parent.workflow != workflow:
        raise NotFound(NO_COMMENT)
    if parent is not None and (parent.deleted or parent.hidden):
        raise Conflict("The comment was deleted or hidden: nobody can answer it any more.")
    said = _text(text)
    return [CommentPosted(owner=by, workflow=workflow, text=said, parent=answers, mentions=mentions)]


def edit(
    comment: Comment, place: Workflow, *, by: AccountId, text: str, mentions: tuple[AccountId, ...] = ()
) -> list[CommentEvent]:
    """Put it otherwise. Whoever reads it is told that it was edited; what it said before stays in the history."""
    workflows.visible(place, by=by)
    if comment.owner != by or comment.deleted:
        raise NotFound(NO_COMMENT)
    said = _text(text)
    return [] if said == comment.text else [CommentEdited(text=said, mentions=mentions)]


def delete(comment: Comment, *, by: AccountId, role: Role = Role.MEMBER) -> list[CommentEvent]:
    """Whoever wrote it may, and whoever keeps order. Answers to it stay."""
    if comment.workflow is None or (comment.owner != by and role is Role.MEMBER):
        raise NotFound(NO_COMMENT)
    return [] if comment.deleted else [CommentDeleted(workflow=comment.workflow, by=by)]


def named(text: str) -> tuple[str, ...]:
    """The names that are mentioned, each once, in order. Raises Invalid when there are too many."""
    found = tuple(dict.fromkeys(name.lower() for name in MENTION.findall(text)))
    if len(found) > MAX_MENTIONS:
        raise Invalid(
            "The text names too many people.",
            FieldError("text", f"It may mention {MAX_MENTIONS} people at most."),
        )
    return found


def _text(text: str) -> str:
    stripped = text.strip()
    if not 1 <= len(stripped) <= MAX_TEXT:
        raise Invalid(
            "The text is missing or too long.",
            FieldError("text", f"It must have 1 to {MAX_TEXT} characters."),
        )
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in stripped):
        raise Invalid("The text holds control characters.", FieldError("text", "Control characters."))
    return stripped
