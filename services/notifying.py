"""Notifies accounts of what others do with what is theirs: from each event of the log, who hears of it.

Done again it tells nothing again: an account's own stream knows up to which event it was told.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from typing import Any

from msgspec.structs import replace

from commands.dispatcher import Dispatcher
from commands.notifications import GiveNotices
from commands.places import scene_of
from commands.streams import Context, Streams
from domain.comment import COMMENT, CommentHidden, CommentPosted, CommentShownAgain
from domain.event import AnyRecorded, Event, topic
from domain.follow import FollowBegun
from domain.ids import AccountId, Actor, CommentId, OutputId, Position, WorkflowId
from domain.like import LikeGiven
from domain.notice import Kind, NoticeGiven
from domain.output_like import OutputLiked
from domain.place import Place, Scene, host, look
from domain.refusals import NotFound
from domain.shared_output import SHARED_OUTPUT, OutputHidden, OutputMarked, OutputShownAgain
from domain.workflow import WORKFLOW, WorkflowHidden, WorkflowMarked, WorkflowShownAgain
from services.errand import Checkpoint, ErrandLog, react

ACTOR = Actor("notifying")
JUDGEMENTS: dict[type[Event], Kind] = {
    WorkflowHidden: Kind.HIDDEN,
    WorkflowShownAgain: Kind.RESTORED,
    WorkflowMarked: Kind.MARKED,
    OutputHidden: Kind.HIDDEN,
    OutputShownAgain: Kind.RESTORED,
    OutputMarked: Kind.MARKED,
    CommentHidden: Kind.HIDDEN,
    CommentShownAgain: Kind.RESTORED,
}
HEARD: tuple[type[Event], ...] = (FollowBegun, LikeGiven, OutputLiked, CommentPosted, *JUDGEMENTS)
TOPICS = frozenset(topic(event) for event in HEARD)
REST_S = 0.25  # what comes at about the same time is gathered, but nobody should wait for it


class Notifying:
    """Runs until it is cancelled, in one process at a time."""

    name = "notifying"

    def __init__(self, log: ErrandLog, checkpoint: Checkpoint, dispatcher: Dispatcher) -> None:
        self._log = log
        self._checkpoint = checkpoint
        self._dispatcher = dispatcher

    async def run(self) -> None:
        await react(self.name, self._log, self._checkpoint, TOPICS, self._tell, rest_s=REST_S)

    async def _tell(self, events: Sequence[AnyRecorded]) -> None:
        await tell(events, self._dispatcher)


async def tell(events: Sequence[AnyRecorded], dispatcher: Dispatcher) -> None:
    """Each account at once of all that concerns it: what it was told of once stands in one append."""
    given: defaultdict[AccountId, list[NoticeGiven]] = defaultdict(list)
    for recorded in events:
        with suppress(NotFound):
            for each in await heard(recorded, dispatcher.needs.streams):
                given[each.account].append(each)
    for account, notices in given.items():
        correlation = dispatcher.needs.new_id()
        context = Context(actor=ACTOR, correlation=correlation, causation=notices[0].cause)
        await dispatcher.run(GiveNotices(account=account, given=tuple(notices)), context)


async def heard(recorded: AnyRecorded, streams: Streams) -> list[NoticeGiven]:
    """Who hears of an event, each once, and never of their own doing. Raises NotFound."""
    cause = recorded.position
    match recorded.event:
        case FollowBegun(follower=follower, followed=followed):
            return [NoticeGiven(account=followed, kind=Kind.FOLLOWED, cause=cause, by=follower)]
        case LikeGiven(account=by, workflow=workflow) if recorded.version == 1:  # not again and again
            place, _ = await streams.load(WORKFLOW, workflow)
            if place.owner is None or place.owner == by or place.deleted:
                return []
            return [_liked(place.owner, recorded, workflow=workflow)]
        case OutputLiked(account=by, output=output) if recorded.version == 1:
            shared, _ = await streams.load(SHARED_OUTPUT, output)
            if shared.owner is None or shared.owner == by:
                return []
            return [_liked(shared.owner, recorded, output=output)]
        case CommentPosted() as posted:
            return await _said(posted, CommentId(recorded.stream), cause, streams)
        case _:
            return _judged(recorded)


def _liked(account: AccountId, recorded: AnyRecorded, **what: Any) -> NoticeGiven:
    day = f"{recorded.at.astimezone(UTC):%Y-%m-%d}"
    return NoticeGiven(account=account, kind=Kind.LIKED, cause=recorded.position, day=day, **what)


def _judged(recorded: AnyRecorded) -> list[NoticeGiven]:
    """What moderators did, to whose it is. What owners mark themselves has no reason."""
    event, id = recorded.event, recorded.stream
    kind = JUDGEMENTS.get(type(event))
    if kind is None or recorded.owner is None or not event.reason:
        return []
    told = NoticeGiven(account=recorded.owner, kind=kind, cause=recorded.position, reason=event.reason)
    match event:
        case CommentHidden() | CommentShownAgain():
            shown = None if event.output is None else event.output.id
            return [replace(told, workflow=event.workflow, output=shown, comment=CommentId(id))]
        case OutputHidden() | OutputShownAgain() | OutputMarked():
            return [replace(told, output=OutputId(id))]
        case _:
            return [replace(told, workflow=WorkflowId(id))]


async def _said(
    posted: CommentPosted, comment: CommentId, cause: Position, streams: Streams
) -> list[NoticeGiven]:
    """Whoever is mentioned, answered or commented on: by the first of these, where it is more than one."""
    reasons: dict[AccountId, Kind] = dict.fromkeys(posted.mentions, Kind.MENTIONED)
    if posted.parent is not None:
        parent, _ = await streams.load(COMMENT, posted.parent)
        if parent.owner is not None:
            reasons.setdefault(parent.owner, Kind.ANSWERED)
    scene = await scene_of(Place(posted.workflow, posted.output), streams)
    if (owner := host(scene)) is not None:
        reasons.setdefault(owner, Kind.COMMENTED)
    reasons.pop(posted.owner, None)
    return [
        NoticeGiven(
            account=account,
            kind=kind,
            cause=cause,
            by=posted.owner,
            workflow=posted.workflow,
            comment=comment,
            output=None if posted.output is None else posted.output.id,
        )
        for account, kind in reasons.items()
        if _sees(scene, account)
    ]


def _sees(scene: Scene, account: AccountId) -> bool:
    """Owners hear of what was said before they put it out of everybody's sight, others do not."""
    try:
        look(scene, by=account)
    except NotFound:
        return account == host(scene)
    return True
