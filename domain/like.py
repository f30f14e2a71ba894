"""A like: one account likes one workflow. Each such pair has a stream of its own, so that crowds do not meet."""

from typing import TypeAlias

from msgspec import Struct

from domain import workflow as workflows
from domain.event import Decider, Event
from domain.ids import AccountId, WorkflowId
from domain.workflow import Workflow


class LikeGiven(Event, frozen=True, kw_only=True, tag="like.given.v1"):
    account: AccountId
    workflow: WorkflowId


class LikeTakenBack(Event, frozen=True, kw_only=True, tag="like.taken_back.v1"):
    account: AccountId
    workflow: WorkflowId


LikeEvent: TypeAlias = LikeGiven | LikeTakenBack


class Like(Struct, frozen=True):
    account: AccountId | None = None
    given: bool = False


def evolve(like: Like, event: LikeEvent) -> Like:
    match event:
        case LikeGiven(account=account):
            return Like(account, given=True)
        case LikeTakenBack(account=account):
            return Like(account, given=False)


LIKE: Decider[Like, LikeEvent] = Decider("like", Like(), evolve, lambda like: like.account)


def give(like: Like, liked: Workflow, *, by: AccountId, workflow: WorkflowId) -> list[LikeEvent]:
    """Like a workflow that one may see. Liking it twice is liking it."""
    workflows.visible(liked, by=by)
    return [] if like.given else [LikeGiven(account=by, workflow=workflow)]


def take_back(like: Like, liked: Workflow, *, by: AccountId, workflow: WorkflowId) -> list[LikeEvent]:
    """Like it no more; also one that was hidden or deleted since."""
    if like.given:
        return [LikeTakenBack(account=by, workflow=workflow)]
    workflows.visible(liked, by=by)
    return []
