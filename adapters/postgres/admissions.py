"""Letting runs in: who comes at the same moment is asked about by one question, and decided one after the other.

There is no timer: while one group is decided the next one gathers.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import psycopg_pool
from msgspec import Struct
from msgspec.structs import replace
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import AccountId, RunId
from domain.limits import Allowance, Quota, Standing
from domain.refusals import DomainError

GROUP = 256

STANDING = """
SELECT owner, pool, queued, runs_today, run_us_today, pool_queued, pool_limit, running, max_queued, runs_per_day,
    run_s_per_day
FROM work.standing(%s::uuid[], %s::text[])
"""
ADMIT = """
INSERT INTO work.admissions (run, owner, pool)
SELECT run, owner, pool FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS each (run, owner, pool)
"""
RELEASE = "DELETE FROM work.admissions WHERE run = ANY (%s)"
AWAY = "The queue cannot be reached at the moment."

Decide = Callable[[Standing], Sequence[Quota]]


class _Asked(Struct):
    owner: AccountId
    pool: str
    runs: Sequence[RunId]
    decide: Decide
    answer: asyncio.Future[Sequence[Quota]]


class PostgresAdmissions:
    """The Admissions port. `usual`: what an account may have that was given nothing else."""

    def __init__(self, pool: AsyncConnectionPool[Any], usual: Allowance = Allowance()) -> None:
        self._pool = pool
        self._usual = usual
        self._asked: deque[_Asked] = deque()
        self._deciding: asyncio.Task[None] | None = None

    async def admit(
        self, owner: AccountId, pool: str, runs: Sequence[RunId], decide: Decide
    ) -> Sequence[Quota]:
        answer: asyncio.Future[Sequence[Quota]] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(owner, pool, runs, decide, answer))
        if self._deciding is None or self._deciding.done():
            self._deciding = asyncio.create_task(self._decide_all())
        return await answer

    async def release(self, runs: Sequence[RunId]) -> None:
        try:
            async with self._pool.connection() as connection:
                await connection.execute(RELEASE, (list(runs),))
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
            raise LogUnavailableError(AWAY) from error

    async def _decide_all(self) -> None:
        while self._asked:
            group = [self._asked.popleft() for _ in range(min(GROUP, len(self._asked)))]
            try:
                async with self._pool.connection() as connection, connection.transaction():
                    outcomes = await self._decide(connection, group)
            except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
                away = LogUnavailableError(AWAY)
                away.__cause__ = error
                outcomes = [away for _ in group]
            for asked, outcome in zip(group, outcomes, strict=True):
                _answer(asked.answer, outcome)

    async def _decide(
        self, connection: AsyncConnection[Any], group: Sequence[_Asked]
    ) -> "list[Sequence[Quota] | Exception]":
        owners, pools = [each.owner for each in group], [each.pool for each in group]
        rows = await (await connection.execute(STANDING, (owners, pools))).fetchall()
        standings = {(row[0], row[1]): self._standing(row) for row in rows}
        more: dict[AccountId | str, int] = {}
        outcomes: list[Sequence[Quota] | Exception] = []
        admitted: list[tuple[RunId, AccountId, str]] = []
        for asked in group:
            known, own = standings[asked.owner, asked.pool], more.get(asked.owner, 0)
            standing = replace(
                known,
                queued=known.queued + own,
                runs_today=known.runs_today + own,
                pool_queued=known.pool_queued + more.get(asked.pool, 0),
            )
            try:
                outcomes.append(asked.decide(standing))
            except DomainError as refusal:
                outcomes.append(refusal)
                continue
            for key in (asked.owner, asked.pool):
                more[key] = more.get(key, 0) + len(asked.runs)
            admitted += [(run, asked.owner, asked.pool) for run in asked.runs]
        if admitted:
            await connection.execute(ADMIT, [list(column) for column in zip(*admitted, strict=True)])
        return outcomes

    def _standing(self, row: Sequence[Any]) -> Standing:
        _, _, queued, runs_today, run_us_today, pool_queued, pool_limit, *given = row
        usual = (self._usual.running, self._usual.queued, self._usual.runs_per_day, self._usual.run_s_per_day)
        running, most, runs_per_day, run_s_per_day = (
            all_have if own is None else own for own, all_have in zip(given, usual, strict=True)
        )
        return Standing(
            limits=Allowance(
                running=running, queued=most, runs_per_day=runs_per_day, run_s_per_day=run_s_per_day
            ),
            queued=queued,
            runs_today=runs_today or 0,
            run_s_today=(run_us_today or 0) / 1e6,
            pool_queued=pool_queued,
            pool_limit=pool_limit,
        )


def _answer(future: "asyncio.Future[Sequence[Quota]]", outcome: Sequence[Quota] | Exception) -> None:
    if future.done():
        return  # whoever asked has gone: what was let in for them is forgotten after a minute
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
