"""Names that stand for a version, and workflows that begin as another's."""

from typing import Any
from uuid import uuid4

import pytest

from domain.copying import fork
from domain.environments import MAX_ENVIRONMENTS, point, pointed_at, remove
from domain.ids import WorkflowId
from domain.refusals import Conflict, Invalid, NotFound
from domain.workflow import (
    WORKFLOW,
    EnvironmentRemoved,
    EnvironmentSet,
    Workflow,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowForked,
    WorkflowPublished,
    WorkflowVersionSaved,
)
from tests.domain.facts import ANN, BOB, created, first_version, second_version
from tests.domain.scenario import Scenario

workflow = Scenario(WORKFLOW)
kept = workflow.given(created, first_version, second_version)
SOURCE = WorkflowId(uuid4())


def state(*events: Any) -> Workflow:
    return WORKFLOW.fold(Workflow(), [created, first_version, second_version, *events])


def test_a_name_is_moved_from_version_to_version() -> None:
    first = EnvironmentSet(name="production", number=1)
    kept.when(point, by=ANN, name="production", number=1).then(first).and_again_nothing()
    moved = workflow.given(created, first_version, second_version, first).when(
        point, by=ANN, name="production", number=2
    )
    moved.then(EnvironmentSet(name="production", number=2)).and_again_nothing()
    assert pointed_at(state(first, EnvironmentSet(name="production", number=2)), name="production") == 2


def test_a_name_that_is_taken_away_stands_for_nothing() -> None:
    named = workflow.given(created, first_version, EnvironmentSet(name="a", number=1))
    named.when(remove, by=ANN, name="a").then(EnvironmentRemoved(name="a")).and_again_nothing()
    kept.when(remove, by=ANN, name="never").then_nothing()
    with pytest.raises(NotFound):
        pointed_at(state(EnvironmentSet(name="a", number=1), EnvironmentRemoved(name="a")), name="a")


@pytest.mark.parametrize("name", ["", "A", "a b", "ä", "../x", "x" * 41])
def test_names_are_plain(name: str) -> None:
    kept.when(point, by=ANN, name=name, number=1).then_refused(Invalid)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_name_stands_for_a_version_that_is_there(number: int) -> None:
    kept.when(point, by=ANN, name="a", number=number).then_refused(NotFound)


def test_there_are_only_so_many_names() -> None:
    named = [EnvironmentSet(name=f"n{each}", number=1) for each in range(MAX_ENVIRONMENTS)]
    full = workflow.given(created, first_version, *named)
    full.when(point, by=ANN, name="more", number=1).then_refused(Invalid)


@pytest.mark.parametrize(("decide", "more"), [(point, {"number": 1}), (remove, {})])
def test_a_stranger_is_told_nothing(decide: Any, more: dict[str, Any]) -> None:
    kept.when(decide, by=BOB, name="a", **more).then_refused(NotFound)


def test_a_fork_is_ones_own_and_says_where_it_is_from() -> None:
    made = workflow.given().when(
        fork, by=BOB, source=state(WorkflowPublished()), id=SOURCE, number=1, name=None
    )
    made.then(
        WorkflowCreated(owner=BOB, name=created.name, description=created.description, tags=created.tags),
        WorkflowForked(source=SOURCE, number=1),
        WorkflowVersionSaved(
            number=1,
            graph=first_version.graph,
            editor_graph=first_version.editor_graph,
            requirements=first_version.requirements,
        ),
    ).and_again_refused(Conflict)


@pytest.mark.parametrize("source", [state(), state(WorkflowDeleted()), Workflow()])
def test_what_one_may_not_run_is_not_forked(source: Workflow) -> None:
    workflow.given().when(fork, by=BOB, source=source, id=SOURCE, number=None, name=None).then_refused(
        NotFound
    )
