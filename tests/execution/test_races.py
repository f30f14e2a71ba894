"""Cancelling at every moment of a run, with others' runs before, behind and beside it: they never notice."""

import asyncio
from pathlib import Path

from domain.refusals import Conflict
from domain.run import RunAttemptLost, RunCancelled, RunSucceeded, Status
from tests.execution.dispatch import MemoryDispatch
from tests.execution.store import ObjectServer
from tests.execution.workshop import SharedSandbox, executor, sleeping

ROUNDS = 200
RUN_S = 0.02
SPREAD_S = 0.09  # from before it is submitted to the backend until after it has ended


async def test_cancelling_never_touches_another_run(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    won = lost = 0
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        for number in range(ROUNDS):
            before, mine, behind = (dispatch.submit(sleeping(RUN_S, steps=3)) for _ in range(3))
            await dispatch.until(lambda run=before: dispatch.state(run).status is not Status.QUEUED)
            await asyncio.sleep(SPREAD_S * number / ROUNDS)  # the moment is what is tested
            try:
                dispatch.cancel(mine, hint=number % 2 == 0)  # else the next beat tells
            except Conflict:
                lost += 1
            else:
                won += 1
            for other in (before, behind):
                await dispatch.ends(other)
                assert len(dispatch.outputs(other)) == 1
                assert not [e for e in dispatch.events[other] if isinstance(e, RunAttemptLost)]
            assert sum(isinstance(e, RunSucceeded | RunCancelled) for e in dispatch.events[mine]) == 1
    assert won + lost == ROUNDS
    assert min(won, lost) >= ROUNDS // 20, f"cancel came first {won} times, the end {lost} times"
