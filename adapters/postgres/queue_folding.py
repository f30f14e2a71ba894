"""What a stretch of the log does to the queue: to its rows, to what accounts have had, and to pools and limits.

Whatever is added up is added in whole numbers, in any order: a claim that was counted before its event was folded, and
an event that is folded from the beginning of the log, lead to the same sums.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.account import AccountReinstated, AccountSuspended
from domain.event import AnyRecorded
from domain.ids import Position
from domain.limits import LimitsSet
from domain.outcome import RETRIED, Failure
from domain.queue import PoolSet, QueuePaused, QueueResumed
from domain.run import (
    Charge,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunDeleted,
    RunFailed,
    RunRequeued,
    RunRevived,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
    warmth,
)
from domain.source import PromptSource
from domain.workflow import Requirements
from workflows.inventory import wants

RANK_S = 600  # seconds of waiting that weigh as much as one step of priority


class _Change(Struct, kw_only=True):
    """What a batch of events does to one run's row; None = as it was. With an owner it was submitted in the batch."""

    run: UUID
    version: int = 0
    owner: UUID | None = None
    pool: str | None = None
    warm: str | None = None
    needs: UUID | None = None
    rank: float | None = None
    graph: str | None = None
    timeout_s: int | None = None
    prompted: bool = False
    extra: str | None = None
    state: str | None = None
    not_before: datetime | None = None
    epoch: int | None = None
    backend: str | None = None
    executor: str | None = None
    charged_us: int | None = None
    weight: float | None = None
    started_at: datetime | None = None
    failed_at: datetime | None = None
    failure: Failure | None = None
    position: Position | None = None
    over: bool = False
    cancelled: bool = False
    submitted_on: date | None = None
    came: Position | None = None
    succeeded: int = 0
    failed: int = 0
    gone: int = 0


class _Claim(Struct):
    """What a claim added to its account, unless its row had been moved already when it was made."""

    run: UUID
    version: int
    us: int
    clock_us: int


class _Ended(Struct):
    """An attempt that came to an end. What it was charged and when it was started: None where the row knows it."""

    run: UUID
    position: Position
    at: datetime
    execution_s: float | None
    started_at: datetime | None
    charged_us: int | None
    weight: float | None


class _Pool(Struct):
    name: str
    rank: int | None = None
    paused: bool | None = None
    reason: str | None = None
    given: bool = False
    running: int | None = None
    queued: int | None = None


class _Limits(Struct):
    owner: UUID
    weight: float
    running: int | None
    queued: int | None
    runs_per_day: int | None
    run_s_per_day: int | None


class _Standing(Struct):
    owner: UUID
    suspended: bool


class Batch:
    """The net effect of consecutive events."""

    def __init__(self, events: Sequence[AnyRecorded]) -> None:
        self._changes: dict[UUID, _Change] = {}
        self._claimed: list[_Claim] = []
        self._ended: list[_Ended] = []
        self._charges: dict[UUID, Charge] = {}
        self._pools: dict[str, _Pool] = {}
        self._limits: dict[UUID, _Limits] = {}
        self._standings: dict[UUID, _Standing] = {}
        self.needs: dict[UUID, list[str]] = {}
        for recorded in events:
            self._take_in(recorded)

    def values(self) -> dict[str, str]:
        """The parameters of queue_applying.APPLY that hold it."""
        lists = {
            "changes": list(self._changes.values()),
            "claimed": self._claimed,
            "ended": self._ended,
            "pools": list(self._pools.values()),
            "limits": list(self._limits.values()),
            "standings": list(self._standings.values()),
        }
        return {name: msgspec.json.encode(each).decode() for name, each in lists.items()}

    def _needs_of(self, requirements: Requirements) -> UUID | None:
        """The name of what a run needs: the same for all that need the same; None: nothing."""
        wanted = wants(requirements)
        if not wanted:
            return None
        name = UUID(bytes=sha256("\n".join(wanted).encode()).digest()[:16])
        self.needs[name] = wanted
        return name

    def _take_in(self, recorded: AnyRecorded) -> None:
        match recorded.event:
            case QueuePaused(pool=name, reason=reason):
                pool = self._pool(name)
                pool.paused, pool.reason = True, reason
            case QueueResumed(pool=name):
                pool = self._pool(name)
                pool.paused, pool.reason = False, ""
            case PoolSet(pool=name, settings=settings):
                pool = self._pool(name)
                pool.given, pool.rank = True, settings.rank
                pool.running, pool.queued = settings.running, settings.queued
            case LimitsSet(account=account, limits=limits, weight=weight):
                self._limits[account] = _Limits(
                    account, weight, limits.running, limits.queued, limits.runs_per_day, limits.run_s_per_day
                )
            case AccountSuspended() | AccountReinstated() as event:
                held = isinstance(event, AccountSuspended)
                self._standings[recorded.stream] = _Standing(recorded.stream, held)
            case _:
                self._take_in_of_run(recorded)

    def _take_in_of_run(self, recorded: AnyRecorded) -> None:
        change = self._changes.setdefault(recorded.stream, _Change(run=recorded.stream))
        change.version = recorded.version
        match recorded.event:
            case RunSubmitted() as submitted:
                change.owner, change.graph = submitted.owner, submitted.graph.digest
                if isinstance(prompt := submitted.source, PromptSource):
                    change.prompted, change.extra = True, prompt.extra.digest if prompt.extra else None
                change.pool, change.warm = submitted.pool, warmth(submitted.requirements)
                change.needs = self._needs_of(submitted.requirements)
                change.rank = recorded.at.timestamp() - RANK_S * submitted.priority
                change.timeout_s, change.submitted_on = (
                    submitted.timeout_s,
                    recorded.at.astimezone(UTC).date(),
                )
                change.state, change.not_before = "waiting", recorded.at
                change.position = change.came = recorded.position
            case RunClaimed() as claimed:
                self._claim(change, claimed, recorded)
            case RunStarted():
                change.started_at = recorded.at
            case RunAttemptLost():
                self._end(change, recorded, None)
            case RunRequeued(not_before=not_before, reason=reason):
                if reason:  # handed back: nobody has said that this attempt was lost
                    self._end(change, recorded, None)
                self._wait(change, not_before)
            case RunRevived(not_before=not_before):
                change.failed -= 1
                self._wait(change, not_before)
            case RunSucceeded(execution_s=execution_s):
                self._end(change, recorded, execution_s)
                change.over, change.succeeded = True, 1
            case RunFailed(failure=failure):
                change.failed += 1
                self._fail(change, failure, recorded.at)
            case RunCancelled():
                if change.state == "held" or change.state is None:
                    self._end(change, recorded, None)
                change.over = change.cancelled = True
                change.gone = 1
            case RunDeleted():
                change.over = True
            case _:
                pass

    def _claim(self, change: _Change, claimed: RunClaimed, recorded: AnyRecorded) -> None:
        charge = claimed.charge or Charge(clock_us=0, skipped_us=0, run_us=0, weight=1.0)
        self._charges[change.run] = charge
        added = charge.skipped_us + charge.run_us
        self._claimed.append(_Claim(change.run, recorded.version, added, charge.clock_us))
        change.state, change.epoch, change.position = "held", claimed.epoch, recorded.position
        change.backend, change.executor = claimed.backend, claimed.executor
        change.charged_us, change.weight, change.started_at = charge.run_us, charge.weight, None

    def _end(self, change: _Change, recorded: AnyRecorded, execution_s: float | None) -> None:
        """Of an attempt. Where it was claimed before this batch, the row knows what it was charged."""
        charge = self._charges.pop(change.run, None)
        self._ended.append(
            _Ended(
                run=change.run,
                position=recorded.position,
                at=recorded.at,
                execution_s=execution_s,
                started_at=change.started_at,
                charged_us=None if charge is None else charge.run_us,
                weight=None if charge is None else charge.weight,
            )
        )

    @staticmethod
    def _wait(change: _Change, not_before: datetime) -> None:
        change.state, change.not_before = "waiting", not_before
        change.backend = change.executor = change.failed_at = change.failure = None
        change.charged_us = change.weight = change.started_at = None

    @staticmethod
    def _fail(change: _Change, failure: Failure, at: datetime) -> None:
        """What another attempt may end better stays, for administrators to put back."""
        if failure.kind not in RETRIED:
            change.over = True
            return
        change.state, change.failed_at, change.failure = "dead", at, failure
        change.backend = change.executor = None
        change.charged_us = change.weight = change.started_at = None

    def _pool(self, name: str) -> _Pool:
        return self._pools.setdefault(name, _Pool(name))
