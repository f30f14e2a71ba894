"""Commenting on workflows, and on outputs that are shown."""

from typing import Any
from uuid import UUID

from msgspec import Struct

from commands.known_accounts import holder
from commands.names import canonical_username
from commands.needs import Command, Needs
from commands.places import place_of, scene, sources
from commands.streams import Accepted, Change, Context, Source
from commands.words import BLOCKED
from domain import comment
from domain.account import ACCOUNT, Account
from domain.comment import COMMENT, MAX_TEXT, NO_COMMENT, Comment
from domain.ids import AccountId, CommentId, Position
from domain.place import Kind
from domain.refusals import NotFound
from domain.words import Words, allow


class PostComment(Command, frozen=True, kw_only=True):
    """`answers`: the comment that it answers."""

    by: AccountId
    kind: Kind
    subject: UUID
    text: str
    answers: CommentId | None = None


class EditComment(Command, frozen=True, kw_only=True):
    by: AccountId
    comment: CommentId
    text: str


class DeleteComment(Command, frozen=True, kw_only=True):
    by: AccountId
    comment: CommentId


class Posted(Struct, frozen=True):
    id: CommentId
    position: Position


async def post_comment(command: PostComment, context: Context, needs: Needs) -> Posted:
    """Raises NotFound, Invalid, Conflict, KeyReused."""
    id, parent = CommentId(needs.new_id()), command.answers
    mentions = await _mentioned(command.text, needs)
    place = await place_of(command.kind, command.subject, needs.streams)
    answered = () if parent is None else (Source(COMMENT, parent),)

    def decide(state: Comment, blocked: Words, *known: Any) -> list[comment.CommentEvent]:
        events = comment.post(
            state,
            scene(*known[len(answered) :]),
            *known[: len(answered)],
            by=command.by,
            place=place,
            text=command.text,
            answers=parent,
            mentions=mentions,
        )
        allow(blocked, text=command.text)
        return events

    accepted = await needs.streams.transact(
        context,
        Change(
            COMMENT,
            id,
            decide,
            given=(BLOCKED, *answered, *sources(place)),
            new=True,
        ),
    )
    if accepted.repeated and (before := await needs.streams.log.at(accepted.first)) is not None:
        id = CommentId(before.stream)
    return Posted(id, accepted.position)


async def edit_comment(command: EditComment, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid."""
    state, _ = await needs.streams.load(COMMENT, command.comment)
    if state.place is None or state.owner != command.by:
        raise NotFound(NO_COMMENT)
    mentions = await _mentioned(command.text, needs)

    def decide(state: Comment, blocked: Words, *known: Any) -> list[comment.CommentEvent]:
        events = comment.edit(state, scene(*known), by=command.by, text=command.text, mentions=mentions)
        allow(blocked, text=command.text)
        return events

    given = (BLOCKED, *sources(state.place))
    return await needs.streams.transact(context, Change(COMMENT, command.comment, decide, given=given))


async def delete_comment(command: DeleteComment, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""

    def decide(state: Comment, author: Account) -> list[comment.CommentEvent]:
        return comment.delete(state, by=command.by, role=author.role)

    change = Change(COMMENT, command.comment, decide, given=(Source(ACCOUNT, command.by),))
    return await needs.streams.transact(context, change)


async def _mentioned(text: str, needs: Needs) -> tuple[AccountId, ...]:
    """Those who have an account; other words behind an @ are just words."""
    names = comment.named(text[:MAX_TEXT])
    holders = [await holder("username", canonical_username(name), needs) for name in names]
    return tuple(dict.fromkeys(account for account in holders if account is not None))
