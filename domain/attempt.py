"""One attempt to execute a run, from its claim to its end: what the executor that holds it may say.

Only the attempt that holds the run speaks for it; what another one reports, late, is refused.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from domain.outcome import RETRIED, Course, Failure, FailureKind, NodeTime, Output, short, slowest
from domain.refusals import Conflict
from domain.run import (
    OutputStored,
    Run,
    RunAttemptLost,
    RunClaimed,
    RunEvent,
    RunFailed,
    RunRequeued,
    RunStarted,
    RunStopped,
    RunSucceeded,
    Status,
)

MAX_REASON = 500
UNSAID = "The executor gave no reason."
LONGEST_PAUSE = timedelta(hours=1)
MAX_DOUBLINGS = 64  # of a microsecond are longer than that
MAX_OUTPUTS = 1_000  # of one attempt: a batch of pictures, not a film cut into frames


class Retries(Struct, frozen=True):
    """How often an attempt is repeated, and after what pause: `first_pause`, doubled each time, an hour at most."""

    limit: int = 3
    first_pause: timedelta = timedelta(seconds=5)

    def pause(self, lost: int) -> timedelta:
        """After so many attempts that were lost before. In seconds: a timedelta overflows at a few dozen."""
        doubled_s = self.first_pause.total_seconds() * 2.0 ** min(lost, MAX_DOUBLINGS)
        return timedelta(seconds=min(doubled_s, LONGEST_PAUSE.total_seconds()))


def claim(run: Run, *, backend: str, executor: str) -> list[RunEvent]:
    """Give a waiting run to an executor, as the next attempt."""
    if run.status is not Status.QUEUED:
        raise Conflict("The run is not waiting.")
    return [RunClaimed(epoch=run.epoch + 1, backend=backend, executor=executor)]


def start(run: Run, *, epoch: int) -> list[RunEvent]:
    """The backend has begun to execute it."""
    _held(run, epoch)
    return [] if run.status is Status.RUNNING else [RunStarted(epoch=epoch, backend=run.backend)]


def store_output(run: Run, *, epoch: int, output: Output) -> list[RunEvent]:
    """A file of this attempt is safe in the object store. Reported twice, it is stored once."""
    _held(run, epoch)
    if any((output.node, output.index) == each[:2] for each in run.outputs):
        return []
    if len(run.outputs) >= MAX_OUTPUTS:
        raise Conflict(f"A run keeps {MAX_OUTPUTS} outputs at most.")
    return [OutputStored(epoch=epoch, output=output)]


def succeed(
    run: Run,
    *,
    epoch: int,
    execution_s: float,
    nodes: tuple[NodeTime, ...] = (),
    course: Course | None = None,
) -> list[RunEvent]:
    """Everything is executed and every output is stored."""
    if run.status is Status.SUCCEEDED and run.epoch == epoch:
        return []
    _held(run, epoch)
    return [
        RunSucceeded(
            epoch=epoch,
            execution_s=execution_s,
            outputs=len(run.outputs),
            backend=run.backend,
            nodes=slowest(nodes),
            course=None if course is None else short(course),
        )
    ]


def lose_attempt(
    run: Run,
    *,
    epoch: int,
    failure: Failure,
    now: datetime,
    retries: Retries = Retries(),
    execution_s: float = 0.0,
    nodes: tuple[NodeTime, ...] = (),
    course: Course | None = None,
) -> list[RunEvent]:
    """An attempt came to nothing. It is repeated after a pause where that can help, else the run has failed."""
    if run.status is Status.FAILED and run.epoch == epoch:
        return []
    _held(run, epoch)
    timed = slowest(nodes)
    lost = RunAttemptLost(
        epoch=epoch, failure=failure, execution_s=execution_s, backend=run.backend, nodes=timed
    )
    hopeless = failure.kind not in RETRIED or run.lost_attempts >= retries.limit
    if hopeless or (failure.kind is FailureKind.OUT_OF_MEMORY and run.out_of_memory >= 1):
        told = None if course is None else short(course)
        failed = RunFailed(
            failure=failure, execution_s=execution_s, backend=run.backend, nodes=timed, course=told
        )
        return [lost, failed]
    return [lost, RunRequeued(not_before=now + retries.pause(run.lost_attempts))]


def hand_back(run: Run, *, epoch: int, reason: str, now: datetime) -> list[RunEvent]:
    """Its executor will not begin it: it waits again, and no attempt was lost."""
    if run.status is Status.QUEUED and run.epoch == epoch:
        return []
    _held(run, epoch)
    if run.status is Status.RUNNING:
        raise Conflict("The run has begun already.")
    return [RunRequeued(not_before=now, reason=reason[:MAX_REASON] or UNSAID)]


def stopped(run: Run, *, epoch: int, course: Course) -> list[RunEvent]:
    """The backend has let go of a run that was cancelled. Reported twice, it is told once."""
    if run.status is not Status.CANCELLED or run.epoch != epoch:
        raise Conflict("This attempt was not stopped for its owner.")
    return [] if run.stopped else [RunStopped(epoch=epoch, course=short(course))]


def held_by(run: Run, *, executor: str) -> None:
    """An executor speaks for its own attempts only."""
    if run.executor != executor:
        raise Conflict("This attempt no longer holds the run.")


def _held(run: Run, epoch: int) -> None:
    """Only the attempt that holds the run may speak for it."""
    if run.status not in (Status.CLAIMED, Status.RUNNING) or run.epoch != epoch:
        raise Conflict("This attempt no longer holds the run.")
