from typing import Any
from uuid import UUID

import pytest

from domain.ids import AttemptId
from services.execution.uniqueness import MARK, unique, within

ATTEMPT = AttemptId(UUID("12345678-1234-5678-1234-567812345678"))


def saving(prefix: Any) -> dict[str, Any]:
    graph = unique({"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix}}}, ATTEMPT)
    inputs: dict[str, Any] = graph["1"]["inputs"]
    return inputs


@pytest.mark.parametrize(
    ("prefix", "inside"),
    [
        ("ComfyUI", "ComfyUI"),
        ("a/b/cat", "a/b/cat"),
        ("a\\b\\cat", "a/b/cat"),
        ("a/../b/./cat", "b/cat"),
        ("../../../etc/cron", "etc/cron"),
        ("/etc/cron", "etc/cron"),
        ("cat/", "cat"),
        ("1/2/3/4/5/6/7/8", "3/4/5/6/7/8"),
        ("..", "ComfyUI"),
        ("", "ComfyUI"),
        ("%width%x%height%", "%width%x%height%"),
        ('a:b*c?"<>|d\n', "abcd"),
        ("x" * 500, "x" * 100),
        (["7", 0], "ComfyUI"),
        (5, "ComfyUI"),
    ],
)
def test_every_file_is_saved_in_a_folder_of_its_attempt(prefix: object, inside: str) -> None:
    assert saving(prefix)["filename_prefix"] == f"comfyplus/{ATTEMPT}/{inside}"


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


@pytest.mark.parametrize(
    ("reported", "known"),
    [
        (f"comfyplus/{ATTEMPT}", ""),
        (f"comfyplus/{ATTEMPT}/a/b", "a/b"),
        (f"comfyplus\\{ATTEMPT}\\a", "a"),
        ("", ""),
        ("a/b", "a/b"),
        ("../../etc//./x", "etc/x"),
        ("comfyplus/another", "comfyplus/another"),
    ],
)
def test_a_file_is_known_by_the_folder_that_the_graph_asked_for(reported: str, known: str) -> None:
    assert within(reported, ATTEMPT) == known
