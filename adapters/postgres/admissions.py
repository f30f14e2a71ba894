"""Letting runs in: who comes at the same moment is asked about by one question, and decided one after the other.

There is no timer: while one group is decided the next one gathers. The question and the beginning of the transaction
are one message, as are what was decided and its end.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import psycopg_pool
from msgspec import Struct
from msgspec.structs import replace
from psycopg.adapt import Transformer
from psycopg.pq import Format
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.arrays import Array, Texts, Uuids
from adapters.postgres.wire import Asked, Wire
from commands.ports import LogUnavailableError
from domain.ids import AccountId, RunId
from domain.limits import Allowance, Quota, Standing
from domain.refusals import DomainError

GROUP = 256
PATIENCE_S = 5

BEGIN, COMMIT = Asked(b"BEGIN"), Asked(b"COMMIT")
STANDING = b"""
SELECT owner, pool, queued, runs_today, run_us_today, pool_queued, pool_limit, running, max_queued, runs_per_day,
    run_s_per_day
FROM work.standing($1::uuid[], $2::text[])
"""
ADMIT = b"""
INSERT INTO work.admissions (run, owner, pool)
SELECT run, owner, pool FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS each (run, owner, pool)
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
    """The Admissions port, over a connection of its own. `usual`: what an account may have, given nothing else."""

    def __init__(self, url: str, pool: AsyncConnectionPool[Any], usual: Allowance = Allowance()) -> None:
        """The pool is for what is rare."""
        self._url = url
        self._pool = pool
        self._usual = usual
        self._wire: Wire | None = None
        self._answers = Transformer()
        self._asked: deque[_Asked] = deque()
        self._deciding: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "PostgresAdmissions":
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._deciding is not None:
            self._deciding.cancel()
            await asyncio.gather(self._deciding, return_exceptions=True)
        await self._hang_up()

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
                outcomes = await self._decide(await self._opened(), group)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                away = LogUnavailableError(AWAY)
                away.__cause__ = error
                outcomes = [away for _ in group]
                await self._hang_up()
            except Exception as fault:
                outcomes = [fault for _ in group]
                await self._hang_up()  # which ends the transaction
            for asked, outcome in zip(group, outcomes, strict=True):
                _answer(asked.answer, outcome)

    async def _decide(self, wire: Wire, group: Sequence[_Asked]) -> "list[Sequence[Quota] | Exception]":
        about = (Uuids.of(each.owner for each in group), Texts.of(each.pool for each in group))
        self._answers.set_pgresult(found := await wire.calls((BEGIN, _asking(STANDING, *about))))
        rows = self._answers.load_rows(0, found.ntuples, tuple)
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
        runs, owners, pools = zip(*admitted, strict=True) if admitted else ((), (), ())
        let_in = _asking(ADMIT, Uuids.of(runs), Uuids.of(owners), Texts.of(pools))
        await wire.calls((let_in, COMMIT) if admitted else (COMMIT,))
        return outcomes

    async def _opened(self) -> Wire:
        if self._wire is not None and self._wire.is_lost():
            await self._hang_up()
        if self._wire is None:
            connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=PATIENCE_S
            )
            self._answers = Transformer.from_context(connection)
            self._wire = Wire(connection)
        return self._wire

    async def _hang_up(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

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


def _asking(statement: bytes, *arrays: Array) -> Asked:
    return Asked(statement, arrays, [Format.BINARY] * len(arrays))
