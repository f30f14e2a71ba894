"""A run waits, is attempted, and ends once."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from domain.attempt import (
    MAX_OUTPUTS,
    Retries,
    claim,
    hand_back,
    held_by,
    lose_attempt,
    start,
    stopped,
    store_output,
    succeed,
)
from domain.outcome import MAX_TIMED_NODES, Course, Failure, FailureKind, NodeTime
from domain.refusals import Conflict, NotFound
from domain.run import (
    RUN,
    OutputStored,
    RunAttemptLost,
    RunDeleted,
    RunEvent,
    RunFailed,
    RunRequeued,
    RunRevived,
    RunStopped,
    RunSucceeded,
    Status,
    cancel,
    delete,
    revive,
    source_of,
    submit,
    warmth,
)
from domain.source import GraphSource, WorkflowSource
from domain.workflow import Requirements
from tests.domain.facts import (
    ANN,
    BOB,
    NOON,
    WORKFLOW_ID,
    attempt_lost,
    bad_node,
    cancelled,
    claimed,
    claimed_again,
    failed,
    lost_connection,
    no_memory,
    output,
    output_stored,
    requeued,
    started,
    started_again,
    submitted,
    succeeded,
)
from tests.domain.scenario import Scenario

run = Scenario(RUN)
waiting = run.given(submitted)
held = run.given(submitted, claimed)
running = run.given(submitted, claimed, started)
ENDS: list[tuple[RunEvent, ...]] = [
    (claimed, started, succeeded),
    (claimed, RunAttemptLost(epoch=1, failure=bad_node, backend="gpu-1"), failed),
    (cancelled,),
]


def test_a_run_is_submitted_once() -> None:
    run.given().when(submit, submitted=submitted).then(submitted).and_again_refused(Conflict)


@pytest.mark.parametrize("priority", [0, 11, -1])
def test_a_priority_out_of_range_is_refused(priority: int) -> None:
    run.given().when(submit, submitted=replace(submitted, priority=priority)).then_invalid("priority")


@pytest.mark.parametrize("timeout_s", [0, 24 * 3600 + 1])
def test_a_timeout_out_of_range_is_refused(timeout_s: int) -> None:
    run.given().when(submit, submitted=replace(submitted, timeout_s=timeout_s)).then_invalid("timeout_s")


def test_a_waiting_run_is_claimed_by_one() -> None:
    waiting.when(claim, backend="gpu-1", executor="east").then(claimed).and_again_refused(Conflict)


def test_the_next_attempt_has_the_next_epoch() -> None:
    again = held.given(attempt_lost, requeued)
    again.when(claim, backend="gpu-2", executor="west").then(claimed_again)


def test_a_run_that_nobody_submitted_is_not_claimed() -> None:
    run.given().when(claim, backend="gpu-1", executor="east").then_refused(Conflict, "not waiting")


def test_a_start_is_reported_once() -> None:
    held.when(start, epoch=1).then(started).and_again_nothing()


def test_an_output_is_stored_once() -> None:
    running.when(store_output, epoch=1, output=output).then(output_stored).and_again_nothing()


def test_two_files_of_one_node_are_two_outputs() -> None:
    second = replace(output, index=1)
    running.given(output_stored).when(store_output, epoch=1, output=second).then(
        OutputStored(epoch=1, output=second)
    )


def test_an_attempt_keeps_a_limited_number_of_outputs() -> None:
    many = [OutputStored(epoch=1, output=replace(output, index=index)) for index in range(MAX_OUTPUTS)]
    one_more = replace(output, index=MAX_OUTPUTS)
    running.given(*many).when(store_output, epoch=1, output=one_more).then_refused(Conflict, "1000")


def test_success_counts_the_outputs_and_is_reported_once() -> None:
    done = running.given(output_stored).when(succeed, epoch=1, execution_s=1.5)
    done.then(succeeded).and_again_nothing()


def test_outputs_of_a_lost_attempt_do_not_count() -> None:
    second = running.given(output_stored, attempt_lost, requeued, claimed_again, started_again)
    second.when(succeed, epoch=2, execution_s=1.0).then(
        RunSucceeded(epoch=2, execution_s=1.0, outputs=0, backend="gpu-2")
    )
    second.when(store_output, epoch=2, output=output).then(OutputStored(epoch=2, output=output))


@pytest.mark.parametrize("epoch", [0, 2])
def test_only_the_attempt_that_holds_the_run_may_speak(epoch: int) -> None:
    for decide, wish in (
        (start, {}),
        (store_output, {"output": output}),
        (succeed, {"execution_s": 1.0}),
        (lose_attempt, {"failure": lost_connection, "now": NOON}),
    ):
        running.when(decide, epoch=epoch, **wish).then_refused(Conflict, "no longer holds")


def test_a_lost_attempt_is_repeated_after_a_growing_pause() -> None:
    state = run.given(submitted)
    for epoch, pause_s in enumerate((5, 10, 20), 1):
        state = state.given(replace(claimed, epoch=epoch))
        lost = RunAttemptLost(epoch=epoch, failure=lost_connection, backend="gpu-1")
        back = RunRequeued(not_before=NOON + timedelta(seconds=pause_s))
        state.when(lose_attempt, epoch=epoch, failure=lost_connection, now=NOON).then(lost, back)
        state = state.given(lost, back)
    state = state.given(replace(claimed, epoch=4))
    last = RunAttemptLost(epoch=4, failure=lost_connection, backend="gpu-1")
    state.when(lose_attempt, epoch=4, failure=lost_connection, now=NOON).then(
        last, RunFailed(failure=lost_connection, backend="gpu-1")
    )


@pytest.mark.parametrize(
    "kind", [FailureKind.NODE, FailureKind.VALIDATION, FailureKind.TIMEOUT, FailureKind.OUTPUT]
)
def test_what_would_fail_again_is_not_repeated(kind: FailureKind) -> None:
    failure = Failure(kind, "No.")
    lost = RunAttemptLost(epoch=1, failure=failure, backend="gpu-1")
    ended = running.when(lose_attempt, epoch=1, failure=failure, now=NOON)
    ended.then(lost, RunFailed(failure=failure, backend="gpu-1")).and_again_nothing()


def test_out_of_memory_is_tried_once_more() -> None:
    lost = RunAttemptLost(epoch=1, failure=no_memory, backend="gpu-1")
    running.when(lose_attempt, epoch=1, failure=no_memory, now=NOON).then(
        lost, RunRequeued(not_before=NOON + timedelta(seconds=5))
    )
    again = running.given(lost, requeued, claimed_again)
    again.when(lose_attempt, epoch=2, failure=no_memory, now=NOON).then(
        RunAttemptLost(epoch=2, failure=no_memory, backend="gpu-2"),
        RunFailed(failure=no_memory, backend="gpu-2"),
    )


@given(lost=some.integers(0, 10_000), first=some.floats(0, 366 * 86_400))
def test_the_pause_before_a_retry_is_never_longer_than_an_hour(lost: int, first: float) -> None:
    retries = Retries(limit=10_001, first_pause=timedelta(seconds=first))
    state = replace(RUN.fold(RUN.initial, [submitted, claimed]), lost_attempts=lost)
    again = lose_attempt(state, epoch=1, failure=lost_connection, now=NOON, retries=retries)[-1]
    assert isinstance(again, RunRequeued)
    assert NOON <= again.not_before <= NOON + timedelta(hours=1)


def test_an_executor_that_gives_no_reason_has_handed_the_run_back_all_the_same() -> None:
    """The reason is what tells it from a lost attempt."""
    (back,) = hand_back(RUN.fold(RUN.initial, [submitted, claimed]), epoch=1, reason="", now=NOON)
    assert isinstance(back, RunRequeued)
    assert back.reason


def test_an_attempt_is_lost_once() -> None:
    lost = held.when(lose_attempt, epoch=1, failure=lost_connection, now=NOON, retries=Retries(limit=1))
    lost.and_again_refused(Conflict)


def test_owner_cancels_a_waiting_run() -> None:
    waiting.when(cancel, by=ANN).then(cancelled).and_again_nothing()


def test_owner_cancels_a_running_run() -> None:
    running.when(cancel, by=ANN).then(cancelled).and_again_nothing()


def test_a_cancelled_run_takes_no_reports() -> None:
    stopped = running.given(cancelled)
    stopped.when(succeed, epoch=1, execution_s=1.0).then_refused(Conflict)
    stopped.when(store_output, epoch=1, output=output).then_refused(Conflict)
    stopped.when(lose_attempt, epoch=1, failure=lost_connection, now=NOON).then_refused(Conflict)


def test_a_finished_run_stays_finished() -> None:
    running.given(succeeded).when(cancel, by=ANN).then_refused(Conflict, "already succeeded")
    running.given(attempt_lost, failed).when(cancel, by=ANN).then_refused(Conflict, "already failed")


@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_is_over_is_not_claimed(end: tuple[RunEvent, ...]) -> None:
    waiting.given(*end).when(claim, backend="gpu-1", executor="east").then_refused(Conflict)


def test_a_stranger_is_told_nothing() -> None:
    waiting.when(cancel, by=BOB).then_refused(NotFound, "no such run")
    run.given().when(cancel, by=ANN).then_refused(NotFound, "no such run")


def test_an_executor_speaks_for_its_own_attempts_only() -> None:
    held_by(held.state, executor="east")
    for state, executor in ((held, "west"), (waiting, "east"), (held.given(attempt_lost, requeued), "east")):
        with pytest.raises(Conflict):
            held_by(state.state, executor=executor)


def test_a_run_is_its_submitters() -> None:
    assert RUN.owner(waiting.state) == RUN.owner(running.given(succeeded).state) == ANN


@pytest.mark.parametrize("ending", ENDS)
def test_a_run_that_is_over_is_deleted_and_twice_changes_nothing(ending: tuple[RunEvent, ...]) -> None:
    over = run.given(submitted, *ending)
    over.when(delete, by=ANN).then(RunDeleted()).and_again_nothing()
    over.when(delete, by=BOB).then_refused(NotFound)


def test_a_run_that_goes_on_is_not_deleted() -> None:
    for going in (waiting, held, running):
        going.when(delete, by=ANN).then_refused(Conflict, "Cancel it first")
    run.given().when(delete, by=ANN).then_refused(NotFound)


def test_of_a_deleted_run_nobody_hears_any_more() -> None:
    gone = run.given(submitted, cancelled, RunDeleted())
    gone.when(cancel, by=ANN).then_refused(NotFound)
    gone.when(delete, by=BOB).then_refused(NotFound)
    gone.when(claim, backend="gpu-1", executor="east").then_refused(Conflict)
    gone.when(succeed, epoch=1, execution_s=1.0).then_refused(Conflict)


def test_what_a_run_executes_is_told_whichever_way_it_was_stored() -> None:
    assert source_of(submitted) == WorkflowSource(WORKFLOW_ID, 1)
    graph = replace(submitted, workflow=None, workflow_version=None, source=GraphSource())
    assert source_of(graph) == GraphSource()


REVIVED = RunRevived(not_before=NOON, reason="Mended.")
lost_for_good = run.given(submitted, claimed, attempt_lost, RunFailed(failure=lost_connection))


def test_a_run_that_failed_for_want_of_a_machine_is_put_back_once() -> None:
    wish = {"now": NOON, "reason": " Mended. "}
    lost_for_good.when(revive, **wish).then(REVIVED).and_again_refused(Conflict)


def test_a_run_put_back_goes_on_with_the_next_epoch_and_all_its_retries() -> None:
    again = lost_for_good.given(REVIVED)
    again.when(claim, backend="gpu-2", executor="west").then(claimed_again)
    wish = {"epoch": 2, "failure": lost_connection, "now": NOON, "retries": Retries(limit=1)}
    (_, requeued) = again.given(claimed_again).when(lose_attempt, **wish).events
    assert isinstance(requeued, RunRequeued)


def test_a_run_that_would_fail_the_same_way_is_not_put_back() -> None:
    bad = run.given(submitted, claimed, RunAttemptLost(epoch=1, failure=bad_node), failed)
    bad.when(revive, now=NOON, reason="Mended.").then_refused(Conflict, "same way")


@pytest.mark.parametrize("story", [(), (claimed, started), (cancelled,), (claimed, started, succeeded)])
def test_only_a_run_that_failed_is_put_back(story: tuple[RunEvent, ...]) -> None:
    run.given(submitted, *story).when(revive, now=NOON, reason="Mended.").then_refused(Conflict, "not failed")


def test_what_is_no_run_is_not_put_back() -> None:
    run.given().when(revive, now=NOON, reason="Mended.").then_refused(NotFound)


def test_why_a_run_is_put_back_is_said() -> None:
    lost_for_good.when(revive, now=NOON, reason="").then_invalid("reason")


def test_a_run_put_back_waits_like_a_new_one() -> None:
    state = lost_for_good.given(REVIVED).state
    assert (state.status, state.executor, state.outputs) == (Status.QUEUED, "", ())


def test_runs_with_the_same_models_are_known_by_one_word() -> None:
    one = warmth(Requirements(models=("checkpoints/a", "loras/b")))
    assert one == warmth(Requirements(("KSampler",), ("loras/b", "checkpoints/a")))
    assert one != warmth(Requirements(models=("checkpoints/a",)))
    assert warmth(Requirements(("KSampler",))) == ""


def test_the_slowest_nodes_are_remembered_in_their_order() -> None:
    nodes = tuple(NodeTime(str(number), float(number % 7)) for number in range(3 * MAX_TIMED_NODES))
    (event,) = succeed(waiting.given(claimed, started).state, epoch=1, execution_s=9.0, nodes=nodes)
    assert isinstance(event, RunSucceeded)
    assert len(event.nodes) == MAX_TIMED_NODES
    assert min(each.seconds for each in event.nodes) >= 4
    assert list(event.nodes) == [each for each in nodes if each in event.nodes]


def test_how_far_a_cancelled_run_had_come_is_told_once_and_by_its_own_attempt() -> None:
    course = Course(("1",), ("2", "3"))
    told = run.given(submitted, claimed, started, cancelled).when(stopped, epoch=1, course=course)
    told.then(RunStopped(epoch=1, course=course)).and_again_nothing()
    run.given(submitted, claimed, started, cancelled).when(stopped, epoch=2, course=course).then_refused(
        Conflict, "not stopped"
    )
    running.when(stopped, epoch=1, course=course).then_refused(Conflict, "not stopped")
