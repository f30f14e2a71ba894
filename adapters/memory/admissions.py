"""Letting runs in, as the log in memory has them."""

from collections.abc import Callable, Sequence

from adapters.memory.log import MemoryLog
from commands.ports import Clock
from domain.ids import AccountId, Position, RunId
from domain.limits import Allowance, Quota, Standing
from domain.run import RUN, RunEvent, RunSubmitted, Status


class MemoryAdmissions:
    """The Admissions port. `usual`: what every account may have. Pools have no limits here."""

    def __init__(self, log: MemoryLog, now: Clock, usual: Allowance = Allowance()) -> None:
        self.usual = usual
        self._log = log
        self._now = now
        self._admitted: dict[RunId, AccountId] = {}

    async def admit(
        self,
        owner: AccountId,
        pool: str,
        runs: Sequence[RunId],
        decide: Callable[[Standing], Sequence[Quota]],
    ) -> Sequence[Quota]:
        left = decide(await self._standing(owner))
        self._admitted |= dict.fromkeys(runs, owner)
        return left

    async def release(self, runs: Sequence[RunId]) -> None:
        for run in runs:
            self._admitted.pop(run, None)

    async def _standing(self, owner: AccountId) -> Standing:
        stories: dict[RunId, list[RunEvent]] = {}
        today = 0
        for row in await self._log.rows(Position(0), 1_000_000):
            recorded = await self._log.at(row.position)
            if recorded is None or recorded.owner != owner or not row.topic.startswith("run."):
                continue
            stories.setdefault(RunId(row.stream), []).append(recorded.event)
            today += isinstance(recorded.event, RunSubmitted) and recorded.at.date() == self._now().date()
        waiting = sum(RUN.fold(RUN.initial, story).status is Status.QUEUED for story in stories.values())
        coming = sum(each == owner for run, each in self._admitted.items() if run not in stories)
        return Standing(limits=self.usual, queued=waiting + coming, runs_today=today + coming)
