"""The attempts that an executor holds, from the claim until dispatch and the backend are done with them."""

from collections import OrderedDict
from collections.abc import Callable

from domain.ids import AttemptId
from services.execution.attempt import Attempt
from services.ports.executing import Spool
from services.ports.messages import Assignment, HeldAttempt

REMEMBERED = 1_000  # an answer about open attempts may be older than the end of the last few


class Holding:
    """`gone`: called when the backend neither runs nor queues an attempt any more."""

    def __init__(self, spool: Spool, gone: Callable[[Attempt], None] = lambda _: None) -> None:
        self._gone = gone
        self._spool = spool
        self._held: dict[HeldAttempt, Attempt] = {}
        self._done: OrderedDict[AttemptId, None] = OrderedDict()

    def take(self, assignment: Assignment, *, adopted: bool = False) -> Attempt | None:
        """None: it is held already, or was until a moment ago."""
        if HeldAttempt(assignment.run, assignment.epoch) in self._held or assignment.attempt in self._done:
            return None
        entries = self._spool.entries().get(assignment.attempt, ()) if adopted else ()
        attempt = Attempt(assignment, entries, adopted=adopted)
        self._held[attempt.held] = attempt
        return attempt

    def find(self, held: HeldAttempt) -> Attempt | None:
        return self._held.get(held)

    def all(self) -> tuple[Attempt, ...]:
        return tuple(self._held.values())

    def reported(self, attempt: Attempt) -> None:
        """Dispatch has everything, or wants nothing of it any more."""
        attempt.reported = True
        self._held.pop(attempt.held, None)
        self._done[attempt.id] = None
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        self._forget_if_done(attempt)

    def gone_from_backend(self, attempt: Attempt) -> None:
        """The backend neither runs nor queues it."""
        attempt.gone_from_backend = True
        self._gone(attempt)
        self._forget_if_done(attempt)

    def _forget_if_done(self, attempt: Attempt) -> None:
        if attempt.reported and attempt.gone_from_backend:
            self._spool.forget(attempt.id)
