"""Submitting, cancelling, and what executors report."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from commands.ports import StaleStreamError, Write
from commands.runs import (
    CancelRun,
    LoseAttempt,
    ReportRun,
    SubmitRun,
    Submitted,
    lost,
    started,
    stored,
    succeeded,
)
from commands.workflows import ChangeWorkflow, CreateWorkflow, DeleteWorkflow, Saved, SaveVersion
from domain import attempt
from domain.ids import RunId, WorkflowId
from domain.limits import Allowance, LimitReached
from domain.refusals import Conflict, Invalid, NotFound
from domain.run import RUN, RunClaimed, RunRequeued, RunSubmitted, Status
from tests.commands.ground import GRAPH, NOON, OTHER_GRAPH, Ground
from tests.domain.facts import ANN, BOB, bad_node, lost_connection, output
from tests.log.ground import entry


@pytest.fixture
async def portrait(ground: Ground) -> Saved:
    saved: Saved = await ground.wish(CreateWorkflow(owner=ANN, name="Portrait", graph=GRAPH))
    return saved


async def submit(ground: Ground, portrait: Saved, **more: Any) -> Submitted:
    submitted: Submitted = await ground.wish(SubmitRun(by=ANN, workflow=portrait.id, **more))
    return submitted


async def claim(ground: Ground, id: RunId, epoch: int = 1) -> None:
    """As dispatch does it: straight into the log."""
    version = len(await ground.log.read(id))
    await ground.log.append(
        entry(Write(id, version, (RunClaimed(epoch=epoch, backend="gpu-1", executor="east"),), ANN))
    )


async def report(ground: Ground, id: RunId, *facts: Any, executor: str = "east") -> Any:
    return await ground.wish(ReportRun(run=id, executor=executor, facts=facts))


async def status(ground: Ground, id: RunId) -> Status:
    state, _ = await ground.dispatcher.needs.streams.load(RUN, id)
    return state.status


async def test_a_run_takes_the_newest_version(ground: Ground, portrait: Saved) -> None:
    await ground.wish(SaveVersion(by=ANN, workflow=portrait.id, graph=OTHER_GRAPH))
    submitted = await submit(ground, portrait, priority=7)
    (event,) = await ground.happened(after=3)
    assert isinstance(event, RunSubmitted)
    assert (event.owner, event.workflow_version, event.priority, event.timeout_s) == (ANN, 2, 7, 300)
    assert event.requirements.node_classes == ("SaveImage",)
    assert submitted.position == 4


async def test_a_run_takes_the_version_it_is_told(ground: Ground, portrait: Saved) -> None:
    await ground.wish(SaveVersion(by=ANN, workflow=portrait.id, graph=OTHER_GRAPH))
    await submit(ground, portrait, version=1)
    (event,) = await ground.happened(after=3)
    assert isinstance(event, RunSubmitted)
    assert event.workflow_version == 1
    with pytest.raises(NotFound, match="no such version"):
        await submit(ground, portrait, version=3)


async def test_submitted_twice_with_one_key_it_runs_once(ground: Ground, portrait: Saved) -> None:
    wish = SubmitRun(by=ANN, workflow=portrait.id)
    first, again = await ground.wish(wish, key="k"), await ground.wish(wish, key="k")
    assert (again.id, again.position) == (first.id, first.position)
    assert await ground.log.head() == 3


async def test_others_run_only_what_is_published(ground: Ground, portrait: Saved) -> None:
    wish = SubmitRun(by=BOB, workflow=portrait.id)
    with pytest.raises(NotFound):
        await ground.wish(wish)
    await ground.wish(ChangeWorkflow(by=ANN, workflow=portrait.id, public=True))
    submitted = await ground.wish(wish)
    state, _ = await ground.dispatcher.needs.streams.load(RUN, submitted.id)
    assert state.owner == BOB


async def test_a_deleted_workflow_is_not_run(ground: Ground, portrait: Saved) -> None:
    await ground.wish(DeleteWorkflow(by=ANN, workflow=portrait.id))
    with pytest.raises(NotFound):
        await submit(ground, portrait)
    with pytest.raises(NotFound):
        await ground.wish(SubmitRun(by=ANN, workflow=WorkflowId(uuid4())))


async def test_a_priority_out_of_range_is_refused(ground: Ground, portrait: Saved) -> None:
    with pytest.raises(Invalid):
        await submit(ground, portrait, priority=11)


async def test_a_waiting_run_is_cancelled_once(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    assert (await ground.wish(CancelRun(by=ANN, run=id))).position == 4
    assert (await ground.wish(CancelRun(by=ANN, run=id))).position == 0
    assert await status(ground, id) is Status.CANCELLED


async def test_strangers_cancel_nothing(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    for wish in (
        CancelRun(by=BOB, run=id),
        CancelRun(by=ANN, run=RunId(uuid4())),
        CancelRun(by=ANN, run=RunId(portrait.id)),
    ):
        with pytest.raises(NotFound):
            await ground.wish(wish)


async def test_an_attempt_is_reported_to_its_end(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    await claim(ground, id)
    await report(ground, id, started(1))
    await report(ground, id, stored(1, output), succeeded(1, 1.5))
    assert await ground.told(id) == [
        "run.submitted.v1",
        "run.claimed.v1",
        "run.started.v1",
        "run.output_stored.v1",
        "run.succeeded.v1",
    ]


async def test_a_report_sent_again_changes_nothing(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    await claim(ground, id)
    await report(ground, id, started(1), stored(1, output))
    await report(ground, id, started(1), stored(1, output))
    await report(ground, id, succeeded(1, 1.5))
    await report(ground, id, succeeded(1, 1.5))
    assert len(await ground.told(id)) == 5


async def test_of_several_facts_a_wrong_one_stops_all(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    await claim(ground, id)
    with pytest.raises(Conflict):
        await report(ground, id, started(1), succeeded(2, 1.5))
    assert await status(ground, id) is Status.CLAIMED


async def test_only_the_executor_that_holds_a_run_reports_on_it(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    await claim(ground, id)
    with pytest.raises(Conflict):
        await report(ground, id, started(1), executor="west")


async def test_reports_of_a_lost_attempt_are_refused(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    await claim(ground, id)
    await ground.wish(LoseAttempt(run=id, epoch=1, failure=lost_connection))
    await claim(ground, id, epoch=2)
    with pytest.raises(Conflict):
        await report(ground, id, succeeded(1, 1.5))
    await report(ground, id, succeeded(2, 1.5))
    assert await status(ground, id) is Status.SUCCEEDED


async def test_a_lost_attempt_waits_before_the_next(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    await claim(ground, id)
    ground.wait(timedelta(hours=1))
    await report(ground, id, lost(1, lost_connection, ground.dispatcher.needs))
    event = (await ground.happened())[-1]
    assert event == RunRequeued(not_before=NOON + timedelta(hours=1, seconds=5))


async def test_an_attempt_that_failed_for_good_ends_the_run(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    await claim(ground, id)
    await ground.wish(LoseAttempt(run=id, epoch=1, failure=bad_node))
    assert (await ground.wish(LoseAttempt(run=id, epoch=1, failure=bad_node))).position == 0
    assert await status(ground, id) is Status.FAILED


async def test_cancelling_wins_over_a_report_that_comes_later(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    await claim(ground, id)
    await ground.wish(CancelRun(by=ANN, run=id))
    with pytest.raises(Conflict):
        await report(ground, id, succeeded(1, 1.5))
    assert await status(ground, id) is Status.CANCELLED


async def test_two_claims_of_one_run_cannot_both_stand(ground: Ground, portrait: Saved) -> None:
    id = (await submit(ground, portrait)).id
    state, version = await ground.dispatcher.needs.streams.load(RUN, id)
    claims = [attempt.claim(state, backend=f"gpu-{number}", executor="east") for number in (1, 2)]
    await ground.log.append(entry(Write(id, version, tuple(claims[0]), ANN)))
    with pytest.raises(StaleStreamError):
        await ground.log.append(entry(Write(id, version, tuple(claims[1]), ANN)))


async def test_no_more_runs_wait_than_may(ground: Ground, portrait: Saved) -> None:
    ground.admissions.usual = Allowance(queued=2)
    first = await ground.wish(SubmitRun(by=ANN, workflow=portrait.id), key="first")
    second = await submit(ground, portrait)
    assert [quota.left for quota in (*first.left, *second.left)] == [1, 0]
    with pytest.raises(LimitReached):
        await submit(ground, portrait)
    again = await ground.wish(SubmitRun(by=ANN, workflow=portrait.id), key="first")
    assert (again.id, again.position) == (first.id, first.position)  # the repeat of one that was let in
    await ground.wish(CancelRun(by=ANN, run=second.id))
    await submit(ground, portrait)


async def test_a_refused_wish_takes_nobodys_place(ground: Ground, portrait: Saved) -> None:
    ground.admissions.usual = Allowance(queued=1)
    for _ in range(3):
        with pytest.raises(Invalid):
            await submit(ground, portrait, priority=11)
        with pytest.raises(NotFound):
            await submit(ground, portrait, version=9)
    first = await ground.wish(SubmitRun(by=ANN, workflow=portrait.id), key="k")
    await ground.wish(CancelRun(by=ANN, run=first.id))
    await ground.wish(SubmitRun(by=ANN, workflow=portrait.id), key="k")
    await submit(ground, portrait)
