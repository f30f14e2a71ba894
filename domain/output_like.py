"""A like of a shared output: one account likes one. Each such pair has a stream of its own, as with workflows."""

from typing import TypeAlias

from msgspec import Struct

from domain.event import Decider, Event
from domain.ids import AccountId, OutputId, RunId
from domain.run import Run
from domain.shared_output import SharedOutput, place, visible


class OutputLiked(Event, frozen=True, kw_only=True, tag="output_like.given.v1"):
    """`run`, `node` and `index` say which output it is."""

    account: AccountId
    output: OutputId
    run: RunId
    node: str
    index: int


class OutputUnliked(Event, frozen=True, kw_only=True, tag="output_like.taken_back.v1"):
    account: AccountId
    output: OutputId
    run: RunId
    node: str
    index: int


OutputLikeEvent: TypeAlias = OutputLiked | OutputUnliked


class OutputLike(Struct, frozen=True):
    account: AccountId | None = None
    given: OutputLiked | None = None


def evolve(like: OutputLike, event: OutputLikeEvent) -> OutputLike:
    match event:
        case OutputLiked(account=account):
            return OutputLike(account, event)
        case OutputUnliked(account=account):
            return OutputLike(account, None)


OUTPUT_LIKE: Decider[OutputLike, OutputLikeEvent] = Decider(
    "output_like", OutputLike(), evolve, lambda like: like.account
)


def give(
    like: OutputLike, liked: SharedOutput, run: Run, *, by: AccountId, output: OutputId
) -> list[OutputLikeEvent]:
    """Like an output that one may see. Liking it twice is liking it."""
    shown = visible(liked, run, by=by)
    return [] if like.given is not None else [OutputLiked(account=by, output=output, **place(shown))]


def take_back(like: OutputLike) -> list[OutputLikeEvent]:
    """Like it no more; also one that is shown no more."""
    given = like.given
    if given is None:
        return []
    return [
        OutputUnliked(
            account=given.account, output=given.output, run=given.run, node=given.node, index=given.index
        )
    ]
