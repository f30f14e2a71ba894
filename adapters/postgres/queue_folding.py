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
from domain.queue import PoolSet, QueuePaused, QueueResumed
from domain.run import (
    RETRIED,
    Charge,
    Failure,
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
from domain.workflow import Requirements
from workflows.inventory import wants

RANK_S = 600  # seconds of waiting that weigh as much as one step of priority

# `before` is joined where rows are changed, so that it is there first: a row that this statement has changed could not
# be locked any more. It holds what a claim at the same moment has made of them.
APPLY = """
WITH moved AS (
    UPDATE work.checkpoints SET position = %(upto)s WHERE name = 'dispatch' AND position = %(position)s
    RETURNING position
), change AS MATERIALIZED (
    SELECT each.* FROM moved CROSS JOIN jsonb_to_recordset(%(changes)s::jsonb) AS each (
        run uuid, version bigint, owner uuid, pool text, warm text, needs uuid, rank float8, graph text, timeout_s int,
        state text,
        not_before timestamptz, epoch int, backend text, executor text, charged_us bigint, weight float8,
        started_at timestamptz, failed_at timestamptz, failure jsonb, position bigint, over bool, cancelled bool,
        submitted_on date, came bigint, succeeded int, failed int, gone int
    )
), before AS MATERIALIZED (
    SELECT q.run, q.version, q.owner, q.pool, q.charged_us, q.weight, q.started_at
    FROM work.queue AS q JOIN change AS c ON c.run = q.run FOR UPDATE OF q
), whose AS MATERIALIZED (
    SELECT c.run, coalesce(b.owner, c.owner) AS owner, coalesce(b.pool, c.pool) AS pool, b.version,
        b.charged_us, b.weight, b.started_at
    FROM change AS c LEFT JOIN before AS b ON b.run = c.run WHERE b.run IS NOT NULL OR c.owner IS NOT NULL
), inserted AS (
    INSERT INTO work.queue (
        run, version, owner, pool, warm, needs, state, rank, not_before, graph, timeout_s, epoch, backend,
        executor,
        charged_us, weight, started_at, failed_at, failure, lease_until, position
    )
    SELECT run, version, owner, pool, warm, needs, state, rank, not_before, graph, timeout_s, coalesce(epoch, 0),
        backend,
        executor, coalesce(charged_us, 0), coalesce(weight, 1), started_at, failed_at, failure,
        CASE WHEN state = 'held' THEN now() + interval '1 minute' END, position
    FROM change WHERE owner IS NOT NULL AND NOT over
    ON CONFLICT (run) DO NOTHING
), updated AS (
    UPDATE work.queue AS q SET
        version = c.version,
        state = coalesce(c.state, q.state),
        not_before = coalesce(c.not_before, q.not_before),
        epoch = coalesce(c.epoch, q.epoch),
        backend = CASE WHEN c.state IS NULL THEN q.backend ELSE c.backend END,
        executor = CASE WHEN c.state IS NULL THEN q.executor ELSE c.executor END,
        charged_us = CASE WHEN c.state IS NULL THEN q.charged_us ELSE coalesce(c.charged_us, 0) END,
        weight = CASE WHEN c.state IS NULL THEN q.weight ELSE coalesce(c.weight, 1) END,
        started_at = CASE WHEN c.state IS NULL THEN coalesce(c.started_at, q.started_at) ELSE c.started_at END,
        failed_at = c.failed_at,
        failure = c.failure,
        lease_until = CASE coalesce(c.state, q.state)
            WHEN 'held' THEN coalesce(q.lease_until, now() + interval '1 minute') END,
        position = coalesce(c.position, q.position)
    FROM change AS c JOIN before AS b ON b.run = c.run
    WHERE c.owner IS NULL AND NOT c.over AND q.run = b.run AND q.version < c.version
), deleted AS (
    DELETE FROM work.queue AS q USING change AS c JOIN before AS b ON b.run = c.run
    WHERE c.over AND q.run = b.run
    RETURNING q.run, q.epoch, q.executor, c.cancelled
), settled AS MATERIALIZED (
    SELECT w.owner, w.pool, e.position, e.at, e.execution_s, took.s,
        round(took.s * 1e6 / coalesce(e.weight, w.weight))::bigint - coalesce(e.charged_us, w.charged_us) AS us
    FROM moved CROSS JOIN jsonb_to_recordset(%(ended)s::jsonb) AS e (
        run uuid, position bigint, at timestamptz, execution_s float8, started_at timestamptz, charged_us bigint,
        weight float8
    )
    JOIN whose AS w ON w.run = e.run
    CROSS JOIN LATERAL (
        SELECT greatest(0, coalesce(e.execution_s, extract(epoch FROM e.at - coalesce(
            e.started_at, CASE WHEN e.charged_us IS NULL THEN w.started_at END
        ))::float8, 0)) AS s
    ) AS took
), spent AS (
    SELECT pool, owner, sum(us) AS us, max(clock_us) AS clock_us, min(came) AS came
    FROM (
        SELECT pool, owner, us, 0 AS clock_us, NULL::bigint AS came FROM settled
        UNION ALL
        SELECT w.pool, w.owner, CASE WHEN w.version >= k.version THEN 0 ELSE k.us END, k.clock_us, NULL
        FROM jsonb_to_recordset(%(claimed)s::jsonb) AS k (run uuid, version bigint, us bigint, clock_us bigint)
        JOIN whose AS w ON w.run = k.run
        UNION ALL
        SELECT pool, owner, 0, 0, came FROM change WHERE came IS NOT NULL
    ) AS each GROUP BY pool, owner
), admitted AS (
    DELETE FROM work.admissions AS a USING change AS c WHERE c.came IS NOT NULL AND a.run = c.run
), lately AS (
    SELECT pool, owner, sum(s * power(0.8::float8, after)) AS s, sum(power(0.8::float8, after)) AS runs,
        power(0.8::float8, count(*)) AS keep
    FROM (
        SELECT pool, owner, s, row_number() OVER (PARTITION BY pool, owner ORDER BY position DESC) - 1 AS after
        FROM settled WHERE execution_s IS NOT NULL
    ) AS each GROUP BY pool, owner
), shared AS (
    INSERT INTO work.shares AS s (pool, owner, served_us, clock_us, came, recent_s, recent_runs)
    SELECT spent.pool, spent.owner, spent.us, spent.clock_us, coalesce(spent.came, 0), coalesce(lately.s, 0),
        coalesce(lately.runs, 0)
    FROM spent LEFT JOIN lately ON lately.pool = spent.pool AND lately.owner = spent.owner
    ORDER BY spent.pool, spent.owner
    ON CONFLICT (pool, owner) DO UPDATE SET
        served_us = s.served_us + EXCLUDED.served_us,
        clock_us = greatest(s.clock_us, EXCLUDED.clock_us),
        recent_s = s.recent_s * (SELECT coalesce(max(keep), 1) FROM lately
            WHERE lately.pool = EXCLUDED.pool AND lately.owner = EXCLUDED.owner) + EXCLUDED.recent_s,
        recent_runs = s.recent_runs * (SELECT coalesce(max(keep), 1) FROM lately
            WHERE lately.pool = EXCLUDED.pool AND lately.owner = EXCLUDED.owner) + EXCLUDED.recent_runs
), used AS (
    SELECT DISTINCT ON (owner) owner, day, sum(runs) AS runs, sum(us) AS us
    FROM (
        SELECT owner, submitted_on AS day, 1 AS runs, 0 AS us FROM change WHERE submitted_on IS NOT NULL
        UNION ALL
        SELECT owner, (at AT TIME ZONE 'UTC')::date, 0, round(s * 1e6)::bigint FROM settled
    ) AS each GROUP BY owner, day ORDER BY owner, day DESC
), counted AS (
    INSERT INTO work.usage AS u (owner, day, runs, run_us) SELECT owner, day, runs, us FROM used ORDER BY owner
    ON CONFLICT (owner) DO UPDATE SET
        day = EXCLUDED.day,
        runs = EXCLUDED.runs + CASE WHEN u.day = EXCLUDED.day THEN u.runs ELSE 0 END,
        run_us = EXCLUDED.run_us + CASE WHEN u.day = EXCLUDED.day THEN u.run_us ELSE 0 END
    WHERE u.day <= EXCLUDED.day
), tally AS (
    SELECT name, sum(succeeded) AS succeeded, sum(failed) AS failed, sum(gone) AS cancelled, sum(s) AS s,
        sum(runs) AS runs, max(keep) AS keep
    FROM (
        SELECT w.pool AS name, c.succeeded, c.failed, c.gone, 0 AS s, 0 AS runs, NULL AS keep
        FROM change AS c JOIN whose AS w ON w.run = c.run WHERE c.succeeded <> 0 OR c.failed <> 0 OR c.gone <> 0
        UNION ALL
        SELECT pool, 0, 0, 0, sum(s * power(0.98::float8, after)), sum(power(0.98::float8, after)),
            power(0.98::float8, count(*))
        FROM (
            SELECT pool, s, row_number() OVER (PARTITION BY pool ORDER BY position DESC) - 1 AS after
            FROM settled WHERE execution_s IS NOT NULL
        ) AS each GROUP BY pool
    ) AS each GROUP BY name
), told AS (
    SELECT each.* FROM moved CROSS JOIN jsonb_to_recordset(%(pools)s::jsonb) AS each (
        name text, rank int, paused bool, reason text, given bool, running int, queued int
    )
), pooled AS (
    INSERT INTO work.pools AS p (
        name, class, paused, pause_reason, max_running, max_queued, succeeded, failed, cancelled, recent_s, recent_runs
    )
    SELECT name, coalesce(told.rank, 0), coalesce(told.paused, false), coalesce(told.reason, ''), told.running,
        told.queued, coalesce(t.succeeded, 0), coalesce(t.failed, 0), coalesce(t.cancelled, 0), coalesce(t.s, 0),
        coalesce(t.runs, 0)
    FROM told FULL JOIN tally AS t USING (name)
    ORDER BY name
    ON CONFLICT (name) DO UPDATE SET
        class = (SELECT coalesce(max(told.rank), p.class) FROM told WHERE told.name = p.name),
        paused = (SELECT coalesce(bool_or(told.paused), p.paused) FROM told WHERE told.name = p.name),
        pause_reason = (SELECT coalesce(max(told.reason), p.pause_reason) FROM told WHERE told.name = p.name),
        max_running = CASE WHEN EXISTS (SELECT FROM told WHERE told.name = p.name AND told.given)
            THEN EXCLUDED.max_running ELSE p.max_running END,
        max_queued = CASE WHEN EXISTS (SELECT FROM told WHERE told.name = p.name AND told.given)
            THEN EXCLUDED.max_queued ELSE p.max_queued END,
        succeeded = p.succeeded + EXCLUDED.succeeded,
        failed = p.failed + EXCLUDED.failed,
        cancelled = p.cancelled + EXCLUDED.cancelled,
        recent_s = p.recent_s * (SELECT coalesce(max(keep), 1) FROM tally WHERE tally.name = p.name)
            + EXCLUDED.recent_s,
        recent_runs = p.recent_runs * (SELECT coalesce(max(keep), 1) FROM tally WHERE tally.name = p.name)
            + EXCLUDED.recent_runs
), limited AS (
    INSERT INTO work.limits (owner, weight, running, queued, runs_per_day, run_s_per_day)
    SELECT owner, weight, running, queued, runs_per_day, run_s_per_day
    FROM moved CROSS JOIN jsonb_to_recordset(%(limits)s::jsonb) AS each (
        owner uuid, weight float8, running int, queued int, runs_per_day int, run_s_per_day int
    )
    ON CONFLICT (owner) DO UPDATE SET
        weight = EXCLUDED.weight, running = EXCLUDED.running, queued = EXCLUDED.queued,
        runs_per_day = EXCLUDED.runs_per_day, run_s_per_day = EXCLUDED.run_s_per_day
), standing AS MATERIALIZED (
    SELECT each.owner, each.suspended
    FROM moved CROSS JOIN jsonb_to_recordset(%(standings)s::jsonb) AS each (owner uuid, suspended bool)
), suspended AS (
    INSERT INTO work.suspended (owner) SELECT owner FROM standing WHERE suspended ON CONFLICT DO NOTHING
), reinstated AS (
    DELETE FROM work.suspended AS s USING standing AS t WHERE s.owner = t.owner AND NOT t.suspended
)
SELECT NULL, NULL, NULL FROM moved
UNION ALL
SELECT run, epoch, executor FROM deleted WHERE cancelled AND executor IS NOT NULL
"""


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
        """The parameters of APPLY that hold it."""
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
