"""Wishes about the files of runs: starred, deleted, one or many; and how all of an account's are handled."""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import groupby
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context
from domain import handling, outputs
from domain.handling import HANDLING, Retention
from domain.ids import AccountId, OutputId, Position, RunId, handling_id, output_id
from domain.refusals import DomainError
from domain.rendition import Rendition
from domain.run import RUN, Run, RunEvent

AT_ONCE = 16  # runs of one wish; they are committed together


class Act(StrEnum):
    STAR = "star"
    UNSTAR = "unstar"
    DELETE = "delete"


class Place(Struct, frozen=True):
    """Where an output is: the n-th file of a node of a run."""

    run: RunId
    node: str
    index: int

    @property
    def id(self) -> OutputId:
        return output_id(self.run, self.node, self.index)


class TouchOutput(Command, frozen=True, kw_only=True):
    by: AccountId
    output: Place
    act: Act


class TouchOutputs(Command, frozen=True, kw_only=True):
    """Each is a wish of its own: one that is refused keeps no other from being granted."""

    by: AccountId
    outputs: tuple[Place, ...]
    act: Act


class ExpireOutputs(Command, frozen=True, kw_only=True):
    """Some of one run, that fall under their owner's rule."""

    owner: AccountId
    outputs: tuple[Place, ...]
    spare_starred: bool
    reason: str


class ChooseRendition(Command, frozen=True, kw_only=True):
    by: AccountId
    rendition: Rendition


class ChooseRetention(Command, frozen=True, kw_only=True):
    by: AccountId
    retention: Retention | None


class Touched(Struct, frozen=True):
    """`refused`: why not; None: it is as was wished. `position`: 0 where it was so before."""

    output: OutputId
    refused: DomainError | None = None
    position: Position = Position(0)


DECISIONS: dict[Act, Callable[..., list[RunEvent]]] = {
    Act.STAR: outputs.star,
    Act.UNSTAR: outputs.unstar,
    Act.DELETE: outputs.delete,
}


async def touch_output(command: TouchOutput, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Conflict while its run is not over."""
    decide, place = DECISIONS[command.act], command.output
    change = Change(
        RUN, place.run, lambda state: decide(state, by=command.by, node=place.node, index=place.index)
    )
    return await needs.streams.transact(context, change)


async def touch_outputs(command: TouchOutputs, context: Context, needs: Needs) -> Sequence[Touched]:
    """In the order they were named. What belongs to one run is decided together.

    The whole may be wished again: what is done already is no refusal, and writes nothing.
    """
    places = asyncio.Semaphore(AT_ONCE)
    keyless = replace(context, key=None)  # the key is for the whole

    async def of_run(run: RunId, named: Sequence[Place]) -> list[Touched]:
        async with places:
            return await _touch(run, named, command, keyless, needs)

    ordered = sorted(set(command.outputs), key=lambda place: (place.run, place.node, place.index))
    by_run = [(run, list(named)) for run, named in groupby(ordered, attrgetter("run"))]
    found = await asyncio.gather(*(of_run(run, named) for run, named in by_run))
    touched = {each.output: each for told in found for each in told}
    return [touched[place.id] for place in dict.fromkeys(command.outputs)]


async def _touch(
    run: RunId, named: Sequence[Place], command: TouchOutputs, context: Context, needs: Needs
) -> list[Touched]:
    decide = DECISIONS[command.act]
    refused: dict[OutputId, DomainError] = {}

    def all_of_them(state: Run) -> list[RunEvent]:
        refused.clear()  # it may be decided again
        events: list[RunEvent] = []
        for place in named:
            try:
                decided = decide(state, by=command.by, node=place.node, index=place.index)
            except DomainError as refusal:
                refused[place.id] = refusal
                continue
            state = RUN.fold(state, decided)
            events += decided
        return events

    try:
        accepted = await needs.streams.transact(context, Change(RUN, run, all_of_them))
    except DomainError as refusal:  # too many changes at once
        return [Touched(place.id, refusal) for place in named]
    return [
        Touched(place.id, refused.get(place.id), Position(0) if place.id in refused else accepted.position)
        for place in named
    ]


async def expire_outputs(command: ExpireOutputs, context: Context, needs: Needs) -> Accepted:
    """What has changed meanwhile, so that the rule does not hold for it, stays. Of one run."""

    def decide(state: Run) -> list[RunEvent]:
        events: list[RunEvent] = []
        for place in command.outputs:
            decided = outputs.expire(
                state,
                owner=command.owner,
                node=place.node,
                index=place.index,
                spare_starred=command.spare_starred,
                reason=command.reason,
            )
            state = RUN.fold(state, decided)
            events += decided
        return events

    return await needs.streams.transact(context, Change(RUN, command.outputs[0].run, decide))


async def choose_rendition(command: ChooseRendition, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid."""
    change = Change(
        HANDLING,
        handling_id(command.by),
        lambda state: handling.choose_rendition(state, by=command.by, rendition=command.rendition),
    )
    return await needs.streams.transact(context, change)


async def choose_retention(command: ChooseRetention, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid."""
    change = Change(
        HANDLING,
        handling_id(command.by),
        lambda state: handling.choose_retention(state, by=command.by, retention=command.retention),
    )
    return await needs.streams.transact(context, change)
