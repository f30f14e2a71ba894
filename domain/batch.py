"""A batch: runs that were submitted together, to be watched, compared and cancelled as one."""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, RunId
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.workflow import Content

MAX_RUNS = 200


class BatchSubmitted(Event, frozen=True, kw_only=True, tag="batch.submitted.v1"):
    """`plan`: a document with what was varied for each run, in order. `varied`: the names of it."""

    owner: AccountId
    runs: tuple[RunId, ...]
    plan: Content
    varied: tuple[str, ...] = ()


class BatchCancelled(Event, frozen=True, kw_only=True, tag="batch.cancelled.v1"):
    """All of its runs are over, or were cancelled."""

    by: AccountId


BatchEvent: TypeAlias = BatchSubmitted | BatchCancelled


class Batch(Struct, frozen=True):
    owner: AccountId | None = None
    runs: tuple[RunId, ...] = ()
    cancelled: bool = False


def evolve(batch: Batch, event: BatchEvent) -> Batch:
    match event:
        case BatchSubmitted(owner=owner, runs=runs):
            return Batch(owner=owner, runs=runs)
        case BatchCancelled():
            return replace(batch, cancelled=True)


BATCH: Decider[Batch, BatchEvent] = Decider("batch", Batch(), evolve, lambda batch: batch.owner)


def submit(batch: Batch, *, submitted: BatchSubmitted) -> list[BatchEvent]:
    if batch.owner is not None:
        raise Conflict("This batch exists already.")
    if not 1 <= len(submitted.runs) <= MAX_RUNS:
        raise Invalid(
            "The batch has too many runs, or none.", FieldError("runs", f"It must have 1 to {MAX_RUNS}.")
        )
    return [submitted]


def cancel(batch: Batch, *, by: AccountId) -> list[BatchEvent]:
    """Its owner wants none of its runs any more. Asking twice is not an error."""
    owned(batch, by=by)
    return [] if batch.cancelled else [BatchCancelled(by=by)]


def owned(batch: Batch, *, by: AccountId) -> None:
    """Raises NotFound: a stranger must not learn which ids exist."""
    if batch.owner != by:
        raise NotFound("There is no such batch.")
