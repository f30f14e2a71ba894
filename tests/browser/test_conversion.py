"""Our conversion of the editor's graphs beside the official frontend's own."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.refusals import Invalid
from tests.browser.frontend import Frontend, frontend
from tests.workflows.editor.drawings import DRAWINGS
from tests.workflows.editor.recorded import definitions, prompts
from workflows.editor.converting import converted
from workflows.editor.document import read_document

pytestmark = pytest.mark.browser

TEMPLATES = 172
REFUSED = {
    "api_stability_ai_audio_to_audio": "RecordAudio",  # recorded at the moment of the run
    "video_humo": "RecordAudio",
    "video_wan2_2_14B_animate": "PixelPerfectResolution",  # a custom node that the recorded ComfyUI has not
}


@pytest.fixture(scope="module")
def official() -> Iterator[Frontend]:
    with frontend() as running:
        yield running


def test_every_template_is_converted_as_the_frontend_does_it(official: Frontend) -> None:
    graphs = dict(templates())
    assert len(graphs) == TEMPLATES
    wrong = {}
    for name, graph in graphs.items():
        if name in REFUSED:
            with pytest.raises(Invalid) as refusal:
                converted(read_document(graph), definitions())
            assert REFUSED[name] in refusal.value.errors[0].reason
            continue
        ours, theirs = converted(read_document(graph), definitions()), official.prompt(graph)
        assert theirs is not None
        if untitled(ours) != untitled(theirs):
            wrong[name] = [id for id in {*ours, *theirs} if ours.get(id) != theirs.get(id)]
    assert not wrong


def test_the_recorded_prompts_are_those_of_the_frontend(official: Frontend) -> None:
    sent = {name: official.prompt(draw()) for name, draw in DRAWINGS.items()}
    assert {name: prompt for name, prompt in sent.items() if prompt is not None} == prompts()


def templates() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((Path(str(files("comfyui_workflow_templates"))) / "templates").glob("*.json")):
        graph = msgspec.json.decode(file.read_bytes())
        if isinstance(graph, dict) and "nodes" in graph:
            yield file.stem, graph


def untitled(prompt: dict[str, Any]) -> dict[str, Any]:
    """Without titles: where a node has none of its own, the frontend takes one out of its dictionary."""
    return {id: {k: v for k, v in node.items() if k != "_meta"} for id, node in prompt.items()}
