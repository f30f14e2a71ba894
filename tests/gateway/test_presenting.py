"""Runs in the shapes of ComfyUI's own answers."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.http.gateway.presenting import entry, item, job, outputs_of
from domain.file_name import FileName
from domain.outcome import Course, Failure, FailureKind, NodeShown
from domain.run import Status
from projections.prompts import PromptRow
from tests.domain.facts import ANN

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHOWN = (
    '{"images":[{"filename":"b_00001_.png","subfolder":"","type":"output","fullpath":"/srv/x"},'
    '{"filename":"in.png","subfolder":"","type":"input"},{"filename":"lost.png","type":"output"}],"text":["hi"]}'
)
COURSE = Course((), ("1", "2"), (NodeShown("2", "2", SHOWN),))
NAMES = {("2", 0): FileName("b_00007_.png", "deep", "output")}


def row(**more: Any) -> PromptRow:
    known: dict[str, Any] = {
        "run": UUID(int=1),
        "owner": ANN,
        "prompt": "mine",
        "client": "window",
        "number": 7.0,
        "graph": "g",
        "extra": None,
        "status": Status.SUCCEEDED,
        "priority": 5,
        "position": 7,
        "submitted_at": NOON,
        "started_at": NOON + timedelta(seconds=1),
        "ended_at": NOON + timedelta(seconds=3),
        "outputs": 1,
        "course": COURSE,
    }
    return PromptRow(**known | more)


def test_files_bear_their_own_names_and_lead_nowhere() -> None:
    assert outputs_of(COURSE, NAMES) == {
        "2": {
            "images": [
                {"filename": "b_00007_.png", "subfolder": "deep", "type": "output"},
                {"filename": "in.png", "subfolder": "", "type": "input"},
            ],
            "text": ["hi"],
        }
    }


def test_a_run_that_tells_no_course_shows_its_files() -> None:
    assert outputs_of(None, NAMES) == {
        "2": {"images": [{"filename": "b_00007_.png", "subfolder": "deep", "type": "output"}]}
    }


def test_an_entry_of_the_history() -> None:
    told = entry(row(), {"1": {}}, {"extra_pnginfo": {}}, ("2",), NAMES)
    assert told["prompt"] == [7, "mine", {"1": {}}, {"extra_pnginfo": {}, "client_id": "window"}, ["2"]]
    assert told["status"] == {
        "status_str": "success",
        "completed": True,
        "messages": [
            ("execution_start", {"prompt_id": "mine", "timestamp": 1795262401000}),
            ("execution_cached", {"nodes": [], "prompt_id": "mine", "timestamp": 1795262401000}),
            ("execution_success", {"prompt_id": "mine", "timestamp": 1795262403000}),
        ],
    }
    assert told["meta"] == {
        "2": {"node_id": "2", "display_node": "2", "parent_node": None, "real_node_id": "2"}
    }


@pytest.mark.parametrize(
    ("status", "last"),
    [(Status.FAILED, "execution_error"), (Status.CANCELLED, "execution_interrupted")],
)
def test_what_did_not_succeed_is_an_error_that_tells_how(status: Status, last: str) -> None:
    failure = Failure(FailureKind.OUT_OF_MEMORY, "No memory.", "2", "KSampler")
    told = entry(row(status=status, failure=failure), {}, {}, (), {})["status"]
    assert (told["status_str"], told["completed"], told["messages"][-1][0]) == ("error", False, last)


def test_an_interrupted_prompt_names_the_node_that_was_executed() -> None:
    stopped = row(status=Status.CANCELLED, course=Course(("1",), ("2", "3")))
    graph = {"3": {"class_type": "KSampler"}}
    for known, node_type in (
        (graph, "KSampler"),
        (msgspec.Raw(msgspec.json.encode(graph)), "KSampler"),
        ({}, ""),
    ):
        _, told = entry(stopped, known, {}, (), {})["status"]["messages"][-1]
        assert (told["node_id"], told["node_type"], told["executed"]) == ("3", node_type, ["2"])


def test_a_job() -> None:
    told = job(row(), NAMES)
    assert (told["id"], told["status"], told["create_time"]) == ("mine", "completed", 1795262400000)
    assert told["preview_output"] == {
        "filename": "b_00007_.png",
        "subfolder": "deep",
        "type": "output",
        "nodeId": "2",
        "mediaType": "images",
    }
    failure = Failure(FailureKind.NODE, "It broke.", "2", "KSampler")
    broken = job(row(status=Status.FAILED, failure=failure), {})
    assert broken["execution_error"] == {
        "node_id": "2",
        "node_type": "KSampler",
        "exception_message": "It broke.",
        "exception_type": "RuntimeError",
        "traceback": [],
    }


def test_a_number_is_whole_where_it_can_be() -> None:
    assert item(row(number=-3.0), {}, {})[0] == -3
    assert item(row(number=0.5), {}, {})[0] == 0.5
