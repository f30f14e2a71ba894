"""What is stored today is what was stored yesterday, and what was stored yesterday is still read."""

from pathlib import Path

import msgspec
import pytest

from domain.catalogue import CATALOGUE, UPCASTS
from domain.event import Event, topic
from domain.outcome import FileType
from domain.run import OutputStored, RunSubmitted, source_of
from domain.source import TemplateSource, WorkflowSource
from tests.contract.golden import EXAMPLES, FOLDER, file_of, names
from tests.domain.facts import ANN, WORKFLOW_ID, content


@pytest.mark.parametrize("example", EXAMPLES, ids=topic)
def test_an_event_is_stored_as_it_ever_was(example: Event) -> None:
    """If this fails by your doing: an added field needs a default, anything else needs a new event. `make golden`."""
    stored = msgspec.json.format(CATALOGUE.encode(example), indent=2) + b"\n"
    assert stored == file_of(topic(example)).read_bytes()


@pytest.mark.parametrize("example", EXAMPLES, ids=topic)
def test_what_was_stored_is_read(example: Event) -> None:
    assert CATALOGUE.decode(topic(example), file_of(topic(example)).read_bytes()) == example


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_no_topic_is_ever_forgotten(path: Path) -> None:
    assert path.stem in CATALOGUE.events or path.stem in UPCASTS


def test_every_event_has_its_example() -> None:
    assert names() == set(CATALOGUE.events)


@pytest.mark.parametrize("example", EXAMPLES, ids=topic)
def test_an_example_leaves_no_field_at_its_default(example: Event) -> None:
    """Else a golden file would not notice when that field changes its form."""
    for field in msgspec.structs.fields(example):
        assert field.default is msgspec.NODEFAULT or getattr(example, field.name) != field.default


def test_an_events_name_has_three_parts() -> None:
    for name in CATALOGUE.events:
        aggregate, happened, version = name.split(".")
        assert aggregate.isidentifier()
        assert happened.isidentifier()
        assert version[0] == "v"
        assert int(version[1:]) >= 1


def test_a_run_of_a_template_is_stored_with_its_source() -> None:
    source = TemplateSource("plain_card", content("c", 9), content("d", 7))
    stored = CATALOGUE.encode(RunSubmitted(owner=ANN, graph=content("a"), source=source))
    assert msgspec.json.decode(stored)["source"] == {
        "kind": "template",
        "template": "plain_card",
        "version": {"digest": "c" * 64, "size_bytes": 9},
        "values": {"digest": "d" * 64, "size_bytes": 7},
    }
    event = CATALOGUE.decode("run.submitted.v1", stored)
    assert isinstance(event, RunSubmitted)
    assert source_of(event) == source


def test_a_run_that_was_submitted_before_there_were_other_sources_is_read() -> None:
    stored = b"""{"topic": "run.submitted.v1", "owner": "00000000-0000-0000-0000-000000000a11",
        "workflow": "00000000-0000-0000-0000-000000000f10", "workflow_version": 2,
        "graph": {"digest": "aa", "size_bytes": 400}, "requirements": {"node_classes": [], "models": []},
        "priority": 7, "timeout_s": 600}"""
    event = CATALOGUE.decode("run.submitted.v1", stored)
    assert isinstance(event, RunSubmitted)
    assert source_of(event) == WorkflowSource(WORKFLOW_ID, 2)
    assert (event.source, event.seed, event.batch, event.rerun_of) == (None, None, None, None)


def test_an_output_that_was_stored_before_folders_were_known_is_read() -> None:
    stored = b"""{"topic": "run.output_stored.v1", "epoch": 1, "output": {"node": "9", "index": 0, "name": "a.png",
        "digest": "cc", "size_bytes": 12, "media_type": "image/png"}}"""
    event = CATALOGUE.decode("run.output_stored.v1", stored)
    assert isinstance(event, OutputStored)
    assert (event.output.subfolder, event.output.type) == ("", FileType.OUTPUT)
