"""What goes wrong around an executor, and what it makes of it: nothing lost, nothing doubled, nobody disturbed."""

from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from adapters.comfyui.socket import DEAF_S
from adapters.spool.disk import DiskSpool
from domain.ids import AttemptId, attempt_id
from domain.outcome import Failure, FailureKind
from domain.run import RunAttemptLost, RunClaimed, Status
from services.execution import outputs
from services.ports.messages import Lost
from tests.execution.dispatch import MemoryDispatch
from tests.execution.store import ObjectServer
from tests.execution.workshop import SharedSandbox, eventually, executor, picture, sleeping
from tests.sandbox.process import SandboxProcess


async def queue_ids(comfyui: SharedSandbox) -> dict[str, list[str]]:
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        queue = (await client.get(f"{comfyui.url}/queue")).json()
    return {name: [entry[1] for entry in entries] for name, entries in queue.items()}


def attempts(dispatch: MemoryDispatch, run: object) -> int:
    return sum(isinstance(event, RunClaimed) for event in dispatch.events[run])  # type: ignore[index]


@pytest.mark.parametrize("hint", [True, False])
async def test_a_running_run_is_stopped_when_cancelled(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path, hint: bool
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(sleeping(60))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        dispatch.cancel(run, hint=hint)
        after = dispatch.submit(picture())
        await dispatch.ends(after)
        assert await queue_ids(comfyui) == {"queue_running": [], "queue_pending": []}

    assert dispatch.state(run).status is Status.CANCELLED


async def test_a_run_that_waits_in_the_backend_is_taken_out_and_the_running_one_goes_on(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        first = dispatch.submit(sleeping(3))
        await dispatch.until(lambda: dispatch.state(first).status is Status.RUNNING)
        second = dispatch.submit(sleeping(60))
        waiting = str(attempt_id(second, 1))

        async def ahead() -> bool:
            return (await queue_ids(comfyui))["queue_pending"] == [waiting]

        await eventually(ahead)
        dispatch.cancel(second)
        await dispatch.ends(first)
        assert (await queue_ids(comfyui))["queue_pending"] == []


async def test_somebody_elses_prompt_is_never_touched(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    foreign = str(uuid4())
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        await client.post(f"{comfyui.url}/prompt", json={"prompt": sleeping(2), "prompt_id": foreign})
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture())

        async def behind() -> bool:
            return str(attempt_id(run, 1)) in (await queue_ids(comfyui))["queue_pending"]

        await eventually(behind)
        dispatch.cancel(run)
        after = dispatch.submit(picture())
        await dispatch.ends(after)

    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        history = (await client.get(f"{comfyui.url}/history/{foreign}")).json()
    assert history[foreign]["status"]["status_str"] == "success"


async def test_a_run_that_takes_too_long_is_stopped(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    dispatch.timeout_s = 1
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(sleeping(60, steps=600))
        await dispatch.ends(run, Status.FAILED)
        after = dispatch.submit(picture())
        await dispatch.ends(after)

    failure = dispatch.failure(run)
    assert (failure.kind, failure.node, failure.node_class) == (FailureKind.TIMEOUT, "3", "SandboxSleep")


async def test_a_node_that_says_nothing_for_too_long_is_stopped(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url], silence_s=0.6):
        run = dispatch.submit(sleeping(60, steps=1))
        await dispatch.ends(run, Status.FAILED)

    assert dispatch.failure(run).kind is FailureKind.TIMEOUT
    assert "sign of life" in dispatch.failure(run).reason


async def test_a_run_survives_the_death_of_its_backend(
    dispatch: MemoryDispatch, store: ObjectServer, mortal: SandboxProcess, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [mortal.url]):
        run = dispatch.submit(sleeping(1.5))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        await mortal.kill()
        await mortal.start()
        await dispatch.ends(run)

    lost = [event for event in dispatch.events[run] if isinstance(event, RunAttemptLost)]
    assert [event.failure.kind for event in lost] == [FailureKind.TRANSPORT]
    assert len(dispatch.outputs(run)) == 1


async def test_a_backend_that_stays_away_loses_its_runs(
    dispatch: MemoryDispatch, store: ObjectServer, mortal: SandboxProcess, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [mortal.url], backend_patience_s=0.5):
        run = dispatch.submit(sleeping(60))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        await mortal.kill()
        await dispatch.until(lambda: dispatch.state(run).lost_attempts == 1)
        await dispatch.until(lambda: dispatch.beats[-1].backends[0].sight is None)
        assert dispatch.beats[-1].backends[0].reason == "The backend cannot be reached."
        assert dispatch.state(run).status is Status.QUEUED


async def test_a_run_waits_for_a_backend_that_is_not_there_yet(
    dispatch: MemoryDispatch, store: ObjectServer, mortal: SandboxProcess, tmp_path: Path
) -> None:
    await mortal.kill()
    async with executor(dispatch, store, tmp_path, [mortal.url]):
        run = dispatch.submit(picture())
        await dispatch.until(lambda: bool(dispatch.beats))
        assert dispatch.state(run).status is Status.QUEUED
        await mortal.start()
        await dispatch.ends(run)
    assert attempts(dispatch, run) == 1


@pytest.mark.parametrize("moment", ["execution_start", "executing", "executed", "execution_success"])
async def test_a_cut_socket_costs_nothing(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path, moment: str
) -> None:
    await comfyui.misbehave(drop_sockets_at=moment, drop_sockets_times=2)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        runs = [dispatch.submit(picture(color=number)) for number in range(4)]
        for run in runs:
            await dispatch.ends(run)
            assert (len(dispatch.outputs(run)), attempts(dispatch, run)) == (1, 1)


async def test_a_deaf_socket_costs_nothing_but_time(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    await comfyui.misbehave(deaf=True)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        for _ in range(2):
            run = dispatch.submit(picture())
            await dispatch.ends(run)
        await comfyui.misbehave()
        run = dispatch.submit(sleeping(3))
        await dispatch.ends(run)


async def test_after_a_refused_graph_silence_proves_nothing(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A socket given up as deaf gets a new client id: who runs under the old one is shown no more progress."""
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(sleeping(DEAF_S * 5 / 3, steps=50))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        refused = dispatch.submit({"1": {"class_type": "NoSuchNode", "inputs": {}}})
        await dispatch.ends(refused, Status.FAILED)
        await dispatch.ends(run)
    assert "deaf" not in caplog.text


async def test_messages_that_come_twice_count_once(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    await comfyui.misbehave(send_twice=True)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        runs = [dispatch.submit(picture(color=number)) for number in range(5)]
        for run in runs:
            await dispatch.ends(run)
            assert len(dispatch.outputs(run)) == 1


async def test_a_late_history_is_waited_for(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    await comfyui.misbehave(history_delay_s=0.5, deaf=True)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture())
        await dispatch.ends(run)
    assert attempts(dispatch, run) == 1


@pytest.mark.parametrize(
    "faults",
    [
        {"garbage_paths": ["POST /prompt"]},
        {"lose_answer_paths": ["POST /prompt"]},
        {"garbage_paths": ["/queue"]},
        {"garbage_paths": ["/history"]},
        {"refuse_paths": ["/history", "/queue"]},
        {"hang_paths": ["/history", "/queue"]},
    ],
    ids=str,
)
async def test_an_answer_that_makes_no_sense_does_not_run_it_twice(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    tmp_path: Path,
    faults: dict[str, list[str]],
) -> None:
    await comfyui.misbehave(**faults)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture())
        await dispatch.ends(run)
    assert (attempts(dispatch, run), len(comfyui.saved(attempt_id(run, 1)))) == (1, 1)


async def test_a_prompt_that_never_arrived_is_tried_again_as_another_attempt(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    await comfyui.misbehave(refuse_paths=["POST /prompt"])
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture())
        await dispatch.until(lambda: dispatch.state(run).lost_attempts == 1)
        await comfyui.misbehave()
        await dispatch.ends(run)
    saved = [len(comfyui.saved(attempt_id(run, epoch))) for epoch in range(1, attempts(dispatch, run) + 1)]
    assert saved == [0] * (len(saved) - 1) + [1]


async def test_an_executor_killed_in_a_run_goes_on_with_it(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url], farewell_s=0):
        run = dispatch.submit(sleeping(2))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        await dispatch.ends(run)
    assert (attempts(dispatch, run), len(dispatch.outputs(run))) == (1, 1)
    assert len(comfyui.saved(attempt_id(run, 1))) == 1


async def test_progress_goes_on_after_the_executor_was_killed(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url], farewell_s=0):
        run = dispatch.submit(sleeping(4, steps=80))
        await dispatch.until(lambda: any(step.run == run for step in dispatch.steps))
    dispatch.steps.clear()
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        await dispatch.until(lambda: any(step.run == run for step in dispatch.steps))
        step = dispatch.steps[-1]
        await dispatch.ends(run)

    assert (step.node, step.node_class) == ("3", "SandboxSleep")
    assert 0 < step.percent < 100
    assert attempts(dispatch, run) == 1


async def test_an_executor_killed_in_a_run_finds_it_ended(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url], farewell_s=0):
        run = dispatch.submit(sleeping(0.5))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)

    async def idle() -> bool:
        return not any((await queue_ids(comfyui)).values())

    await eventually(idle)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        await dispatch.ends(run)
    assert (attempts(dispatch, run), len(dispatch.outputs(run))) == (1, 1)


async def test_executor_and_backend_killed_together_lose_the_attempt_and_not_the_run(
    dispatch: MemoryDispatch, store: ObjectServer, mortal: SandboxProcess, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [mortal.url], farewell_s=0):
        run = dispatch.submit(sleeping(1))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
    await mortal.kill()
    await mortal.start()
    async with executor(dispatch, store, tmp_path, [mortal.url]):
        await dispatch.ends(run)
    lost = [event for event in dispatch.events[run] if isinstance(event, RunAttemptLost)]
    assert [event.failure.kind for event in lost] == [FailureKind.LOST]


async def test_an_attempt_that_was_never_submitted_is_submitted_after_a_restart(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    dispatch.lose_answers = 1
    async with executor(dispatch, store, tmp_path, [comfyui.url], retry_s=30.0, farewell_s=0):
        run = dispatch.submit(picture())
        await dispatch.until(lambda: dispatch.state(run).status is Status.CLAIMED)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        await dispatch.ends(run)
    assert attempts(dispatch, run) == 1


async def test_a_claim_whose_answer_was_lost_is_found_among_the_open_ones(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    dispatch.lose_answers = 1
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture())
        await dispatch.ends(run)
    assert attempts(dispatch, run) == 1


async def test_a_run_that_was_taken_away_while_the_executor_was_dead_is_stopped(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url], farewell_s=0):
        run = dispatch.submit(sleeping(60))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
    dispatch.cancel(run)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):

        async def idle() -> bool:
            return not any((await queue_ids(comfyui)).values())

        await eventually(idle)


async def test_outputs_and_reports_outlive_an_outage_of_everything(
    dispatch: MemoryDispatch, store: ObjectServer, mortal: SandboxProcess, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [mortal.url], farewell_s=0):
        run = dispatch.submit(sleeping(0.5))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        store.away = dispatch.away = True

        async def spooled() -> bool:
            return len(list((tmp_path / "spool" / "outputs").iterdir())) == 1

        await eventually(spooled)
    await mortal.kill()  # the picture is nowhere but in the spool
    for path in (mortal.directory / "base" / "output").rglob("*.png"):
        path.unlink()
    store.away = dispatch.away = False
    async with executor(dispatch, store, tmp_path, [mortal.url]):
        await dispatch.ends(run)
    assert (attempts(dispatch, run), len(dispatch.outputs(run))) == (1, 1)
    assert list((tmp_path / "spool" / "outputs").iterdir()) == []


@pytest.mark.parametrize(
    ("slow_bytes", "away", "kept"), [(1 << 20, False, 0), (1 << 20, True, 1), (1, False, 1)]
)
async def test_the_spool_keeps_an_output_only_if_it_is_not_stored_at_once(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    slow_bytes: int,
    away: bool,
    kept: int,
) -> None:
    written: list[int] = []
    keep = DiskSpool.keep

    async def noticed(spool: DiskSpool, attempt: AttemptId, number: int, body: bytes) -> None:
        written.append(number)
        store.away = False
        await keep(spool, attempt, number, body)

    monkeypatch.setattr(DiskSpool, "keep", noticed)
    monkeypatch.setattr(outputs, "SLOW_BYTES", slow_bytes)
    monkeypatch.setattr(outputs, "SLOW_S", 60.0)
    store.away = away
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture())
        await dispatch.ends(run)
    assert (written, len(dispatch.outputs(run))) == ([0] * kept, 1)


async def test_a_report_whose_answer_was_lost_is_said_again_and_counts_once(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(sleeping(0.6))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        dispatch.lose_answers = 2
        await dispatch.ends(run)
    assert len(dispatch.outputs(run)) == 1


async def test_the_object_store_comes_back_and_the_output_is_stored_once(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    store.away = True
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture())

        async def tried() -> bool:
            return store.requests >= 2

        await eventually(tried)
        assert dispatch.outputs(run) == []
        store.away = False
        await dispatch.ends(run)
    (stored,) = dispatch.outputs(run)
    assert store.puts[stored.output.digest] == 1


async def test_an_expired_token_is_replaced_by_the_next_beat(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(sleeping(0.5))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        store.tokens = {"second"}
        dispatch.token = "second"
        await dispatch.ends(run)


async def test_an_attempt_that_was_given_to_somebody_else_is_dropped(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    dispatch.retries = dispatch.retries.__class__(limit=0)
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(sleeping(60))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        dispatch.lose(run, Failure(FailureKind.LOST, "The lease ran out."))
        after = dispatch.submit(picture())
        await dispatch.ends(after)
    assert not any(isinstance(f, Lost) for report in dispatch.reports for f in report.facts)


async def test_told_to_stop_it_leaves_the_running_run_to_its_next_start(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]) as running:
        run = dispatch.submit(sleeping(1.5))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        await running.quit()
    assert dispatch.state(run).status is Status.RUNNING
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        await dispatch.ends(run)
    assert attempts(dispatch, run) == 1
