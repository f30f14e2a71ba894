"""What is known by a name has the id that everybody else would compute."""

from uuid import UUID, uuid4, uuid5

from hypothesis import given
from hypothesis import strategies as some

from domain.ids import RunId, output_id


@given(some.uuids(), some.text(), some.integers(min_value=0, max_value=10_000))
def test_an_output_has_the_id_that_its_run_gives_to_its_name(run: UUID, node: str, index: int) -> None:
    node = node.encode(errors="ignore").decode()  # a lone surrogate is in no event
    assert output_id(RunId(run), node, index) == uuid5(run, f"output {index} {node}")


def test_it_says_how_it_was_made() -> None:
    assert (output_id(RunId(uuid4()), "9", 0).version, output_id(RunId(uuid4()), "9", 0).variant) == (
        5,
        uuid5(uuid4(), "").variant,
    )
