"""An attempt in the executor's hands: what was asked, and how far it is."""

import asyncio
from typing import TypeAlias

from msgspec import Struct

from domain.outcome import Course, Failure
from services.ports.backend import BackendFile, Ending
from services.ports.executing import SpoolEntry
from services.ports.messages import Assignment, HeldAttempt, Stored
from workflows.protocol.messages import Executing, ExecutionCached, Message


class Revoked(Struct, frozen=True):
    """Dispatch took the attempt away: cancelled, or given to somebody else."""


class GivenUp(Struct, frozen=True):
    """We leave it to others, and stop it if it has begun after all."""

    reason: str


Verdict: TypeAlias = Ending | Revoked | GivenUp


class OutputsLostError(Exception):
    """The outputs of an attempt that ended well cannot be had."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Attempt:
    """Times are the event loop's. `entries` is what the spool knew of it when this process began."""

    def __init__(
        self, assignment: Assignment, entries: tuple[SpoolEntry, ...] = (), *, adopted: bool = False
    ) -> None:
        self.assignment = assignment
        self.id = assignment.attempt
        self.held = HeldAttempt(assignment.run, assignment.epoch)
        self.entries = entries
        self.adopted = adopted
        self.token = assignment.token
        self.token_changed = asyncio.Event()
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self.submitted = False
        self.must_stop = False
        self.absences = 0
        self.began_at: float | None = None
        self.ended_at: float | None = None
        self.heard_at: float | None = None
        self.hears_all = True
        self.node: str | None = None
        self.node_class: str | None = None
        self.start_timer: asyncio.TimerHandle | None = None
        self.start_report: asyncio.Task[None] | None = None
        self.finishing: asyncio.Task[None] | None = None
        self.ahead: set[asyncio.Task[None]] = set()
        self.copied: dict[BackendFile, Stored] = {}
        self._cached: tuple[str, ...] = ()
        self._executed: dict[str, None] = {}
        self.reported = False
        self.gone_from_backend = False

    def settle(self, verdict: Verdict) -> None:
        """The first verdict counts."""
        if not self.verdict.done():
            self.ended_at = asyncio.get_running_loop().time()
            self.verdict.set_result(verdict)

    def tell(self, message: Message) -> None:
        """What the backend says of a node, word by word."""
        match message:
            case ExecutionCached(body=body):
                self._cached = body.nodes
            case Executing(body=body) if body.node is not None:
                self._executed.pop(body.node, None)
                self._executed[body.node] = None
            case _:
                pass

    @property
    def course(self) -> Course:
        """As far as somebody was to be told of it; the last node is the one that is executed now."""
        return Course(self._cached, tuple(self._executed))

    @property
    def busy_s(self) -> float:
        """For how long it kept the backend busy, as far as we have heard."""
        if self.began_at is None or self.ended_at is None:
            return 0.0
        return round(self.ended_at - self.began_at, 3)

    @property
    def over(self) -> bool:
        return self.verdict.done()

    def renew(self, token: str) -> None:
        if token != self.token:
            self.token = token
            self.token_changed.set()
