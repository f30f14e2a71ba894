"""How workflows are called as files."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from adapters.http.gateway.shelf import is_workflow, name_of, paths
from adapters.http.problems import Malformed
from domain.desk import checked_path
from domain.ids import Digest, WorkflowId
from projections.workflow_shelf import Newest

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def drawn(name: str, id: UUID | None = None) -> Newest:
    return Newest(WorkflowId(id or uuid4()), name, Digest("a" * 64), None, 9, NOON, NOON)


def test_a_workflow_is_a_file_of_its_name() -> None:
    assert list(paths([drawn("Cat"), drawn("a/b/Größe 1:1")])) == [
        "workflows/Cat.json",
        "workflows/a/b/Größe 1:1.json",
    ]
    for path in ("workflows/Cat.json", "workflows/a/b.app.json"):
        assert is_workflow(path)
        assert f"workflows/{name_of(path)}.json" == path
    for other in ("workflows/.index.json", "workflows/a.txt", "subgraphs/a.json", "comfy.templates.json"):
        assert not is_workflow(other)


def test_those_of_one_name_are_told_apart_in_the_order_they_began() -> None:
    first, second, third = (drawn("Cat") for _ in range(3))
    named = paths([first, drawn("Cat (2)"), second, third])
    assert [named[f"workflows/Cat{more}.json"].id for more in ("", " (3)", " (4)")] == [
        *(first.id, second.id, third.id)
    ]


@pytest.mark.parametrize("name", ["../../x", "/x", "x/", "a//b", ".hidden", "a\tb", "a\\b", "..", "."])
def test_every_name_has_a_path_that_leads_to_it(name: str) -> None:
    ((path, _),) = paths([drawn(name)]).items()
    assert checked_path(path) == path
    assert is_workflow(path)


@pytest.mark.parametrize("name", [" x", "x ", "a/ b", "x" * 201])
def test_a_path_that_would_come_back_as_another_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        name_of(f"workflows/{name}.json")
