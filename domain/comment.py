"""A comment on a workflow or a shown output, or an answer to another comment. Its text is text: nothing in it is ever
interpreted."""

import re
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.account import Role
from domain.event import Decider, Event
from domain.ids import AccountId, CommentId, WorkflowId
from domain.place import OutputPlace, Place, Scene, look
from domain.refusals import Conflict, FieldError, Invalid, NotFound


class CommentPosted(Event, frozen=True, kw_only=True, tag="comment.posted.v1"):
    """On a workflow or on an `output`. `mentions`: the accounts that are named in it as `@name`."""

    owner: AccountId
    workflow: WorkflowId | None = None
    text: str
    parent: CommentId | None = None
    mentions: tuple[AccountId, ...] = ()
    output: OutputPlace | None = None


class CommentEdited(Event, frozen=True, kw_only=True, tag="comment.edited.v1"):
    text: str
    mentions: tuple[AccountId, ...] = ()


class CommentDeleted(Event, frozen=True, kw_only=True, tag="comment.deleted.v1"):
    """`by`: whoever wrote it, or somebody who keeps order."""

    workflow: WorkflowId | None = None
    by: AccountId
    output: OutputPlace | None = None


class CommentHidden(Event, frozen=True, kw_only=True, tag="comment.hidden.v1"):
    """By somebody who keeps order: only who wrote it sees it, and why."""

    workflow: WorkflowId | None = None
    by: AccountId
    reason: str
    output: OutputPlace | None = None


class CommentShownAgain(Event, frozen=True, kw_only=True, tag="comment.shown_again.v1"):
    workflow: WorkflowId | None = None
    by: AccountId
    reason: str
    output: OutputPlace | None = None


CommentEvent: TypeAlias = CommentPosted | CommentEdited | CommentDeleted | CommentHidden | CommentShownAgain

MAX_TEXT = 4_000
MAX_MENTIONS = 20
MENTION = re.compile(r"(?<![\w@.-])@([A-Za-z0-9][A-Za-z0-9_.-]{1,38}[A-Za-z0-9])(?![\w@])")
NO_COMMENT = "There is no such comment."


class Comment(Struct, frozen=True):
    owner: AccountId | None = None
    place: Place | None = None
    text: str = ""
    deleted: bool = False
    hidden: bool = False


def evolve(comment: Comment, event: CommentEvent) -> Comment:
    match event:
        case CommentPosted(owner=owner, workflow=workflow, output=output, text=text):
            return Comment(owner, Place(workflow, output), text)
        case CommentEdited(text=text):
            return replace(comment, text=text)
        case CommentDeleted():
            return replace(comment, text="", deleted=True)
        case CommentHidden():
            return replace(comment, hidden=True)
        case CommentShownAgain():
            return replace(comment, hidden=False)


COMMENT: Decider[Comment, CommentEvent] = Decider(
    "comment", Comment(), evolve, lambda comment: comment.owner, shape=3
)


def post(
    comment: Comment,
    scene: Scene,
    parent: Comment | None = None,
    *,
    by: AccountId,
    place: Place,
    text: str,
    answers: CommentId | None = None,
    mentions: tuple[AccountId, ...] = (),
) -> list[CommentEvent]:
    """Say something about what one may look at, or answer what somebody has said there."""
    look(scene, by=by)
    if comment.owner is not None:
        raise Conflict("This comment exists already.")
    if parent is not None and parent.place != place:
        raise NotFound(NO_COMMENT)
    if parent is not None and (parent.deleted or parent.hidden):
        raise Conflict("The comment was deleted or hidden: nobody can answer it any more.")
    said = _text(text)
    return [CommentPosted(owner=by, **place.told, text=said, parent=answers, mentions=mentions)]


def edit(
    comment: Comment, scene: Scene, *, by: AccountId, text: str, mentions: tuple[AccountId, ...] = ()
) -> list[CommentEvent]:
    """Put it otherwise. Whoever reads it is told that it was edited; what it said before stays in the history."""
    look(scene, by=by)
    if comment.owner != by or comment.deleted:
        raise NotFound(NO_COMMENT)
    said = _text(text)
    return [] if said == comment.text else [CommentEdited(text=said, mentions=mentions)]


def delete(comment: Comment, *, by: AccountId, role: Role = Role.MEMBER) -> list[CommentEvent]:
    """Whoever wrote it may, and whoever keeps order. Answers to it stay."""
    if comment.place is None or (comment.owner != by and role is Role.MEMBER):
        raise NotFound(NO_COMMENT)
    return [] if comment.deleted else [CommentDeleted(**comment.place.told, by=by)]


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
