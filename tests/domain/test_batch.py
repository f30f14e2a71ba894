"""A batch is submitted once, and cancelled as one."""

from uuid import UUID

from msgspec.structs import replace

from domain.batch import BATCH, MAX_RUNS, BatchCancelled, BatchSubmitted, cancel, submit
from domain.ids import RunId
from domain.refusals import Conflict, NotFound
from tests.domain.facts import ANN, BOB, content
from tests.domain.scenario import Scenario

batch = Scenario(BATCH)
runs = tuple(RunId(UUID(int=number)) for number in range(3))
submitted = BatchSubmitted(owner=ANN, runs=runs, plan=content("e"), varied=("cfg",))
cancelled = BatchCancelled(by=ANN)


def test_a_batch_is_submitted_once() -> None:
    batch.given().when(submit, submitted=submitted).then(submitted).and_again_refused(Conflict)


def test_a_batch_has_some_runs_and_not_too_many() -> None:
    for wrong in ((), (runs[0],) * (MAX_RUNS + 1)):
        batch.given().when(submit, submitted=replace(submitted, runs=wrong)).then_invalid("runs")
    many = replace(submitted, runs=(runs[0],) * MAX_RUNS)
    batch.given().when(submit, submitted=many).then(many)


def test_its_owner_cancels_it_and_twice_changes_nothing() -> None:
    batch.given(submitted).when(cancel, by=ANN).then(cancelled).and_again_nothing()


def test_a_stranger_is_told_nothing() -> None:
    batch.given(submitted).when(cancel, by=BOB).then_refused(NotFound)
    batch.given().when(cancel, by=ANN).then_refused(NotFound)
