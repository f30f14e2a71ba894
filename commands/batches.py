"""Many runs by one wish: submitted all or none, and cancelled together."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from commands.admitting import admitted
from commands.filling import Asked, Asking, FromTemplate
from commands.gate import admit
from commands.needs import Command, Needs
from commands.pools import chosen
from commands.sources import of_values, told_as
from commands.streams import NOTHING, Accepted, Change, Context
from domain import batch, run
from domain.batch import BATCH, MAX_RUNS, BatchSubmitted
from domain.ids import AccountId, BatchId, Position, RunId
from domain.limits import Quota
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.rendition import Rendition
from domain.run import RUN, InBatch
from domain.workflow import Content
from workflows.grid import Variation, combinations
from workflows.parameters import NOT_POSSIBLE
from workflows.reading import MAX_ERRORS
from workflows.wanted import OfTemplate, Wanted, seeded

AT_ONCE = 16  # cancels of one batch; they are committed together


class GenerateBatch(Command, frozen=True, kw_only=True):
    by: AccountId
    runs: tuple[Asked, ...]
    priority: int = 5
    pool: str | None = None
    rendition: Rendition | None = None


class GenerateGrid(Command, frozen=True, kw_only=True):
    """A run for each combination of the values in `vary`."""

    by: AccountId
    asked: Asked
    vary: Mapping[str, Sequence[Any]]
    priority: int = 5
    pool: str | None = None
    rendition: Rendition | None = None


class CancelBatch(Command, frozen=True, kw_only=True):
    by: AccountId
    batch: BatchId


class SubmittedBatch(Struct, frozen=True):
    id: BatchId
    runs: tuple[RunId, ...]
    position: Position
    left: tuple[Quota, ...] = ()


async def generate_batch(command: GenerateBatch, context: Context, needs: Needs) -> SubmittedBatch:
    """Raises NotFound, Invalid, KeyReused."""
    if (answered := await needs.streams.answered(context)) is not None:
        return await _submitted(answered, needs)
    if not 1 <= len(command.runs) <= MAX_RUNS:
        raise Invalid(
            "The batch has too many runs, or none.", FieldError("runs", f"It must have 1 to {MAX_RUNS}.")
        )
    asking = Asking(command.by, needs)
    errors: list[FieldError] = []
    found: list[Wanted] = []
    for place, asked in enumerate(command.runs):
        try:
            found.append(await asking.wanted(asked, _run_at(place)))
        except Invalid as refusal:
            errors += refusal.errors
    if errors:
        raise Invalid(NOT_POSSIBLE, *errors[:MAX_ERRORS])
    _batchable(found)
    variations = [Variation({}, each) for each in found]
    return await _submit(variations, (), command, context, needs, _run_at)


async def generate_grid(command: GenerateGrid, context: Context, needs: Needs) -> SubmittedBatch:
    """All with the same seed, unless it is what is varied: they are to be compared.

    Raises NotFound, Invalid, KeyReused.
    """
    if (answered := await needs.streams.answered(context)) is not None:
        return await _submitted(answered, needs)
    at = "values." if isinstance(command.asked, FromTemplate) else ""
    base = seeded(await Asking(command.by, needs).wanted(command.asked, at), needs.new_seed)
    variations = combinations(base, command.vary)
    return await _submit(variations, tuple(command.vary), command, context, needs, lambda _: at)


async def cancel_batch(command: CancelBatch, context: Context, needs: Needs) -> Accepted:
    """Cancel every run that is not over, then say so: who is killed on the way has not answered, and is asked again.

    Each run is a decision of its own: one that ends meanwhile must not keep the others from being cancelled.
    Raises NotFound.
    """
    state, _ = await needs.streams.load(BATCH, command.batch)
    batch.owned(state, by=command.by)
    places, last = asyncio.Semaphore(AT_ONCE), Position(0)
    keyless = replace(context, key=None)  # the key is for the whole

    async def cancel(id: RunId) -> Position:
        async with places:
            with suppress(Conflict, NotFound):  # it is over, or was deleted
                change = Change(RUN, id, lambda state: run.cancel(state, by=command.by))
                return (await needs.streams.transact(keyless, change)).position
            return Position(0)

    if not state.cancelled:
        last = max([Position(0), *await asyncio.gather(*map(cancel, state.runs))])
    change = Change(BATCH, command.batch, lambda state: batch.cancel(state, by=command.by))
    accepted = await needs.streams.transact(context, change)
    return accepted if accepted.position or not last else Accepted(last, NOTHING.first)


async def _submit(
    variations: Sequence[Variation],
    varied: tuple[str, ...],
    command: GenerateBatch | GenerateGrid,
    context: Context,
    needs: Needs,
    at: Callable[[int], str],
) -> SubmittedBatch:
    """One append: there is never a part of a batch."""
    id, by = BatchId(needs.new_id()), command.by
    pool = await chosen(command.pool, by, needs)
    prepared = await of_values([each.wanted for each in variations], by, needs, at)
    needed = []
    for each in prepared:
        with told_as(each.fields):
            needed.append(await admit(each.graph, by, pool, needs))
    plan = msgspec.json.encode([each.values for each in variations])
    stored = Content(await needs.contents.put(plan), len(plan))
    runs = tuple(RunId(needs.new_id()) for _ in prepared)
    whole = BatchSubmitted(owner=by, runs=runs, plan=stored, varied=varied)
    changes: list[Change[Any, Any]] = [
        Change(BATCH, id, lambda state: batch.submit(state, submitted=whole), new=True)
    ]
    for place, (run_id, each) in enumerate(zip(runs, prepared, strict=True)):
        asked = each.submitted(
            needs,
            by=by,
            priority=command.priority,
            rendition=command.rendition,
            batch=InBatch(id, place),
        )
        submitted = replace(asked, pool=pool, requirements=needed[place])
        changes.append(Change(RUN, run_id, partial(run.submit, submitted=submitted), new=True))
    granted = await admitted(
        runs, by, pool, context, needs, lambda: needs.streams.transact(context, *changes)
    )
    if granted.accepted.repeated:
        return await _submitted(granted.accepted, needs)
    return SubmittedBatch(id, runs, granted.accepted.position, granted.left)


async def _submitted(accepted: Accepted, needs: Needs) -> SubmittedBatch:
    """What a repeat is answered."""
    recorded = await needs.streams.log.at(accepted.first)
    assert recorded is not None
    assert isinstance(recorded.event, BatchSubmitted)
    return SubmittedBatch(BatchId(recorded.stream), recorded.event.runs, accepted.position)


def _run_at(place: int) -> str:
    return f"runs[{place}]."


def _batchable(found: Sequence[Wanted]) -> None:
    """Raises Invalid: a template says how many runs of it belong into one batch."""
    for each in found:
        if isinstance(each, OfTemplate) and len(found) > (most := each.template.form.max_batch_size):
            told = f"A batch of this template has {most} at most." if most > 1 else "It makes one at a time."
            raise Invalid("The template is not for a batch of this size.", FieldError("runs", told))
