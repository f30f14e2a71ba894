"""A graph that came without the editor's is drawn so that the editor makes the same graph of it."""

from typing import Any

import msgspec
import pytest

from tests.workflows.editor.recorded import definitions, prompts
from workflows.editor.converting import converted
from workflows.editor.document import read_document
from workflows.editor.drawing import drawn
from workflows.graph import Node, read_graph


def drawing(graph: dict[str, Any], **known: Any) -> dict[str, Any]:
    titles = {key: node["_meta"]["title"] for key, node in graph.items() if "_meta" in node}
    nodes = msgspec.convert(graph, dict[str, Node])
    return drawn(nodes, titles, known.get("definitions", definitions()), "an id")


def by_meaning(graph: dict[str, Any]) -> list[Any]:
    """Whatever the nodes are numbered."""
    places = {key: str(place) for place, key in enumerate(graph)}

    def renamed(value: Any) -> Any:
        return [places[value[0]], value[1]] if isinstance(value, list) and value[0] in places else value

    return [
        (node["class_type"], node["_meta"], {name: renamed(value) for name, value in node["inputs"].items()})
        for node in graph.values()
    ]


OTHERS = {
    "real_primitives",  # lacks an input that the editor gives a value
    "subgraph_with_text",  # has a comment in its prompt
}
SAME = sorted(prompts().keys() - OTHERS)


@pytest.mark.parametrize("name", SAME)
def test_a_drawing_means_the_graph_that_it_was_made_of(name: str) -> None:
    graph = prompts()[name]
    again = converted(read_document(drawing(graph)), definitions())
    assert by_meaning(again) == by_meaning(graph)
    if all(key.isdecimal() for key in graph):
        assert again.keys() == graph.keys()


def test_nodes_stand_behind_what_they_are_wired_to_and_not_on_each_other() -> None:
    made = drawing(prompts()["plain"])
    places = {node["id"]: tuple(node["pos"]) for node in made["nodes"]}
    assert len(set(places.values())) == len(places)
    assert all(places[origin][0] < places[target][0] for _, origin, _, target, _, _ in made["links"])
    assert (made["last_link_id"], made["last_node_id"]) == (len(made["links"]), max(places))


def test_nodes_that_nobody_knows_are_drawn_with_their_wires_and_values() -> None:
    graph = {
        "a": {"class_type": "Strange", "inputs": {"x": 1, "many": {"__value__": [1, 2]}}},
        "b": {"class_type": "Stranger", "inputs": {"from": ["a", 2], "nowhere": ["z", 0], "y": "text"}},
    }
    made = drawing(graph, definitions={})
    first, second = made["nodes"]
    assert (first["id"], first["widgets_values"], second["widgets_values"]) == (1, [1, [1, 2]], ["text"])
    assert made["links"] == [[1, 1, 2, 2, 0, "*"]]
    assert [output["links"] for output in first["outputs"]] == [None, None, [1]]
    read_document(made)


def test_a_seed_stays_what_it_is() -> None:
    graph = {"1": {"class_type": "KSampler", "inputs": {"seed": 7}}}
    (node,) = drawing(graph)["nodes"]
    assert node["widgets_values"][:2] == [7, "fixed"]


def test_a_long_chain_is_drawn() -> None:
    chain = {"0": {"class_type": "EmptyImage", "inputs": {}}}
    for number in range(1, 2_000):
        wire = {"image": [str(number - 1), 0]}
        chain[str(number)] = {"class_type": "ImageInvert", "inputs": wire}
    read_graph(chain)
    assert len(drawing(dict(reversed(chain.items())))["links"]) == 1_999
