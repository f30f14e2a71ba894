"""The editor's graph becomes what the editor itself would send, or is refused with its node."""

import time
from typing import Any

import pytest

from domain.refusals import Invalid
from tests.workflows.editor.drawing import Drawing
from tests.workflows.editor.drawings import DRAWINGS
from tests.workflows.editor.recorded import definitions, prompts
from workflows.definitions import InputDefinition, NodeDefinition
from workflows.editor.converting import converted
from workflows.editor.document import MAX_LINKS, MAX_NODES, MAX_SLOTS, is_editor_graph, read_document
from workflows.editor.flattening import MAX_FLAT
from workflows.editor.wording import resolved
from workflows.graph import read_graph

REFUSED_BY_BOTH = {"loose_ends"}


def made(graph: dict[str, Any], **more: NodeDefinition) -> dict[str, Any]:
    return converted(read_document(graph), definitions() | more)


def refused(graph: dict[str, Any], **more: NodeDefinition) -> dict[str, str]:
    """The fields at fault and what is said of them."""
    with pytest.raises(Invalid) as refusal:
        made(graph, **more)
    assert refusal.value.errors
    return {error.field: error.reason for error in refusal.value.errors}


@pytest.mark.parametrize("name", sorted(set(DRAWINGS) - REFUSED_BY_BOTH))
def test_a_drawing_is_converted_as_the_editor_does_it(name: str) -> None:
    assert made(DRAWINGS[name]()) == prompts()[name]


def test_every_drawing_was_given_to_the_editor() -> None:
    assert set(DRAWINGS) - REFUSED_BY_BOTH == set(prompts())


@pytest.mark.parametrize("name", ["plain", "nested_thrice", "primitives", "files"])
def test_what_comes_out_is_a_graph(name: str) -> None:
    read_graph(made(DRAWINGS[name]()))


def test_a_wire_from_nowhere_is_refused_with_its_node() -> None:
    assert list(refused(DRAWINGS["loose_ends"]())) == ["editor_graph.3"]


def test_all_nodes_that_nobody_knows_are_named() -> None:
    level = Drawing()
    level.add("Strange", 1)
    level.add("Stranger")
    level.add("Strangest", mode=2)
    found = refused(level.saved())
    assert list(found) == ["editor_graph.1", "editor_graph.2"]
    assert "Strange." in found["editor_graph.1"]


def test_a_node_inside_a_subgraph_is_named_by_its_way() -> None:
    level = Drawing()
    inside = level.subgraph("Inside")
    inside.add("Strange")
    level.add(inside.id)
    assert list(refused(level.saved())) == ["editor_graph.2:1"]


def test_what_only_the_editor_has_is_refused() -> None:
    level = Drawing()
    level.add("RecordAudio", None)
    assert "audio" in refused(level.saved())["editor_graph.1"]


def test_group_nodes_are_refused_with_advice() -> None:
    level = Drawing()
    level.add("workflow>Mine")
    assert "ungroup" in refused(level.saved())["editor_graph.1"]


def test_a_choice_in_a_prompt_is_refused() -> None:
    level = Drawing()
    level.add("CLIPTextEncode", "a {red|blue} cat")
    assert "choose one" in refused(level.saved())["editor_graph.1"]


def test_braces_in_braces_without_end_are_refused() -> None:
    level = Drawing()
    level.add("CLIPTextEncode", "{" * 5_000 + "fox" + "}" * 5_000)
    assert "beyond all reason" in refused(level.saved())["editor_graph.1"]


@pytest.mark.parametrize(
    "text", ["/* a fox " * 100_000, "// a fox\n" * 100_000, "/*/" * 100_001, "{fox} " * 100_000]
)
def test_a_long_prompt_takes_no_longer_than_its_length(text: str) -> None:
    level = Drawing()
    level.add("CLIPTextEncode", text)
    began = time.process_time()
    made(level.saved())
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "left"),
    [("a /* b */ c", "a  c"), ("/* a // b\nc", "/* a \nc"), ("/*/ a */b", "b"), ("//* a\nb */", "\nb */")],
)
def test_comments_are_left_out_of_a_prompt(text: str, left: str) -> None:
    assert resolved(text) == left


def test_many_names_in_a_files_name_are_looked_up_at_once() -> None:
    level = Drawing()
    level.add("SaveImage", "%Encode.text%" * 100_000)
    for number in range(500):
        level.add("CLIPTextEncode", str(number), title="Encode" if number == 400 else "")
    began = time.process_time()
    assert made(level.saved())["1"]["inputs"]["filename_prefix"] == "400" * 100_000
    assert time.process_time() - began < 5


def test_wires_that_are_too_long_together_are_refused() -> None:
    level = Drawing()
    end = level.add("EmptyLatentImage", 8, 8, 1)[0]
    for _ in range(1_000):
        end = level.add("Reroute", source=end)[0]
    for _ in range(600):
        level.add("LatentUpscale", "nearest-exact", 8, 8, "disabled", samples=end)
    assert "too long" in next(iter(refused(level.saved()).values()))


def test_a_choice_that_a_wire_replaces_does_not_matter() -> None:
    level = Drawing()
    text = level.add("PrimitiveStringMultiline", "a cat")
    level.add("CLIPTextEncode", "a {red|blue} cat", text=text[0])
    assert made(level.saved())["2"]["inputs"] == {"text": ["1", 0]}


CUSTOM = NodeDefinition(
    title="Mine",
    module="custom_nodes.mine",
    inputs=(InputDefinition(name="a", type="INT"), InputDefinition(name="b", type="STRING")),
)


def test_a_custom_node_with_more_values_than_widgets_is_refused() -> None:
    level = Drawing()
    level.add("Mine", 1, "x", "more")
    assert "cannot be known" in refused(level.saved(), Mine=CUSTOM)["editor_graph.1"]


def test_values_that_a_custom_node_saved_by_name_are_taken_by_name() -> None:
    level = Drawing()
    level.add("Mine", more={"widgets_values": {"b": "x", "a": 1, "preview": {}}})
    assert made(level.saved(), Mine=CUSTOM)["1"]["inputs"] == {"a": 1, "b": "x"}
    level.nodes[0]["widgets_values"] = {"b": "x"}
    assert "editor_graph.1" in refused(level.saved(), Mine=CUSTOM)


def test_an_instance_that_is_left_out_drops_what_is_in_it() -> None:
    graph = DRAWINGS["subgraph"]()
    inside = next(node for node in graph["nodes"] if "-" in node["type"])
    inside["mode"] = 2
    assert [node["class_type"] for node in made(graph).values()] == ["EmptyImage", "SaveImage"]


def test_wires_that_lead_in_a_circle_are_refused() -> None:
    level = Drawing()
    first = level.add("Reroute")
    second = level.add("Reroute", source=first[0])
    level.wire(second[0], first, "")
    level.add("PreviewAny", source=second[0])
    assert "circle" in next(iter(refused(level.saved()).values()))


def test_a_subgraph_that_holds_itself_is_refused() -> None:
    level = Drawing()
    inside = level.subgraph("Inside")
    inside.subgraphs = level.subgraphs
    inside.add(inside.id)
    level.add(inside.id)
    assert refused(level.saved()) == {"editor_graph.definitions.subgraphs": "A subgraph holds itself."}


def test_subgraphs_that_unfold_without_end_are_refused() -> None:
    level = Drawing()
    for _ in range(20):
        around = level.subgraph("Twice")
        around.subgraphs = level.subgraphs
        for _ in range(2):
            around.add(level.subgraphs[-2].id if len(level.subgraphs) > 1 else "EmptyImage")
    level.add(level.subgraphs[-1].id)
    assert str(MAX_FLAT) in refused(level.saved())["editor_graph"]


@pytest.mark.parametrize(
    ("graph", "field"),
    [
        ({"nodes": []}, "editor_graph"),
        ({"nodes": [7]}, "editor_graph.nodes[0]"),
        ({"nodes": [{"id": 1}]}, "editor_graph.nodes[0].type"),
        ({"nodes": [{"id": True, "type": "X"}]}, "editor_graph.nodes[0].id"),
        ({"nodes": [{"id": 1, "type": "X"}, {"id": "1", "type": "X"}]}, "editor_graph.nodes[1].id"),
        ({"nodes": [{"id": 1, "type": "X"}], "links": [[1, 2]]}, "editor_graph.links[0]"),
        ({"nodes": [{"id": 1, "type": "X"}], "links": {}}, "editor_graph.links"),
        ({"nodes": [{"id": 1, "type": "X", "inputs": [1]}]}, "editor_graph.nodes[0].inputs"),
        ({"nodes": [{"id": 1, "type": "X", "properties": []}]}, "editor_graph.nodes[0].properties"),
        ({"nodes": [{"id": 1, "type": "X"}], "definitions": []}, "editor_graph.definitions"),
        ({"nodes": [{"id": 1, "type": "X"}] * (MAX_NODES + 1)}, "editor_graph.nodes"),
        (
            {"nodes": [{"id": 1, "type": "X", "inputs": [{}] * (MAX_SLOTS + 1)}]},
            "editor_graph.nodes[0].inputs",
        ),
        ({"nodes": [{"id": 1, "type": "X"}], "links": [None] * (MAX_LINKS + 1)}, "editor_graph.links"),
    ],
)
def test_what_is_no_editor_graph_is_refused_with_the_place(graph: dict[str, Any], field: str) -> None:
    assert is_editor_graph(graph)
    assert list(refused(graph)) == [field]


def test_an_output_that_is_not_there_is_refused() -> None:
    level = Drawing()
    image = level.add("EmptyImage", mode=4)
    level.add("SaveImage", "a", images=image[3])
    assert "editor_graph.1" in refused(level.saved())
