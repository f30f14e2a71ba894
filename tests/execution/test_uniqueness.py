from typing import Any
from uuid import UUID

import pytest

from domain.ids import AttemptId
from services.execution.uniqueness import MARK, unique

ATTEMPT = AttemptId(UUID("12345678-1234-5678-1234-567812345678"))


def saving(prefix: Any) -> dict[str, Any]:
    graph = unique({"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix}}}, ATTEMPT)
    inputs: dict[str, Any] = graph["1"]["inputs"]
    return inputs


@pytest.mark.parametrize(
    ("prefix", "last"),
    [
        ("ComfyUI", "ComfyUI"),
        ("a/b/cat", "cat"),
        ("a\\b\\cat", "cat"),
        ("../../../etc/cron", "cron"),
        ("cat/", "ComfyUI"),
        ("..", "ComfyUI"),
        ("", "ComfyUI"),
        ("%width%x%height%", "%width%x%height%"),
        ('a:b*c?"<>|d\n', "abcd"),
        ("x" * 500, "x" * 100),
        (["7", 0], "ComfyUI"),
        (5, "ComfyUI"),
    ],
)
def test_every_file_is_saved_in_a_folder_of_its_attempt(prefix: object, last: str) -> None:
    assert saving(prefix)["filename_prefix"] == f"comfyplus/{ATTEMPT}/{last}"


def test_a_last_node_that_names_no_file_is_marked_and_the_others_stay() -> None:
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    changed = unique(graph, ATTEMPT)
    assert changed["1"] == graph["1"]
    assert changed["2"]["inputs"] == {"images": ["1", 0], MARK: str(ATTEMPT)}
    assert MARK not in graph["2"]["inputs"]


@pytest.mark.parametrize(
    "graph", [{}, {"1": None}, {"1": {}}, {"1": {"inputs": []}}, {"1": {"inputs": {"a": [[], 1]}}}]
)
def test_a_graph_of_any_shape_is_left_for_the_backend_to_refuse(graph: dict[str, Any]) -> None:
    assert unique(graph, ATTEMPT).keys() == graph.keys()
