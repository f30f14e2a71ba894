"""A graph in ComfyUI's API format is read, or refused with the place and the advice."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.refusals import Invalid
from domain.workflow import Requirements
from workflows.graph import MAX_DEPTH, MAX_ERRORS, MAX_NODES, ReadGraph, links, read_graph, requirements

PORTRAIT: dict[str, Any] = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
    "10": {
        "class_type": "LoraLoader",
        "inputs": {
            "model": ["4", 0],
            "clip": ["4", 1],
            "lora_name": "soft.safetensors",
            "strength_model": 0.8,
        },
    },
    "3": {"class_type": "KSampler", "inputs": {"model": ["10", 0], "seed": 2**64 - 1, "steps": 20}},
    "9": {
        "class_type": "SaveImage",
        "inputs": {"images": ["3", 0], "filename_prefix": "Größe ✨"},
        "_meta": {"title": "Save"},
    },
}


def node(**inputs: Any) -> dict[str, Any]:
    return {"class_type": "Node", "inputs": inputs}


def refused(graph: Any) -> dict[str, str]:
    """The fields at fault and what is said of them."""
    with pytest.raises(Invalid) as refusal:
        read_graph(graph)
    assert refusal.value.errors
    return {error.field: error.reason for error in refusal.value.errors}


def test_a_graph_is_read() -> None:
    read = read_graph(PORTRAIT)
    assert msgspec.json.decode(read.body) == PORTRAIT
    assert list(links(read.nodes["10"])) == [("model", "4", 0), ("clip", "4", 1)]
    assert read.requirements == Requirements(
        ("CheckpointLoaderSimple", "KSampler", "LoraLoader", "SaveImage"),
        ("checkpoints/sd15.safetensors", "loras/soft.safetensors"),
    )


def test_the_same_graph_has_the_same_bytes() -> None:
    assert read_graph(PORTRAIT).body == read_graph(msgspec.json.decode(msgspec.json.encode(PORTRAIT))).body


@pytest.mark.parametrize("graph", [None, [], "graph", 7, True, [PORTRAIT]])
def test_what_is_no_object_is_refused(graph: Any) -> None:
    assert refused(graph) == {"graph": "It is not an object."}


def test_an_empty_graph_is_refused() -> None:
    assert "graph" in refused({})


def test_the_editors_format_is_refused_with_advice() -> None:
    editor = {"last_node_id": 9, "nodes": [{"id": 3, "type": "KSampler"}], "links": [], "version": 0.4}
    assert "Export (API)" in refused(editor)["graph"]


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"1": None}, "graph.1"),
        ({"1": []}, "graph.1"),
        ({"1": {"inputs": {}}}, "graph.1.class_type"),
        ({"1": {"class_type": "", "inputs": {}}}, "graph.1.class_type"),
        ({"1": {"class_type": 7, "inputs": {}}}, "graph.1.class_type"),
        ({"1": {"class_type": "x" * 201, "inputs": {}}}, "graph.1.class_type"),
        ({"1": {"class_type": "Node"}}, "graph.1.inputs"),
        ({"1": {"class_type": "Node", "inputs": []}}, "graph.1.inputs"),
        ({"": node()}, "graph"),
        ({"x" * 101: node()}, "graph"),
        ({"prompt": PORTRAIT}, "graph.prompt.class_type"),
    ],
)
def test_a_wrong_shape_is_named(broken: Any, field: str) -> None:
    assert field in refused(broken)


@pytest.mark.parametrize(
    "link",
    [["2", 0], ["1"], [], ["1", 0, 0], [1, 0], ["1", "0"], ["1", -1], ["1", True], ["1", 0.0], ["1", 1000]],
)
def test_a_wrong_link_is_named(link: list[Any]) -> None:
    assert "graph.3.inputs.images" in refused({"1": node(), "3": node(images=link)})


def test_a_dangling_link_names_the_missing_node() -> None:
    assert "'77'" in refused({"3": node(images=["77", 0])})["graph.3.inputs.images"]


def test_a_list_that_is_no_link_is_wrapped() -> None:
    read_graph({"3": node(size={"__value__": [512, 512]})})


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**300, float("inf"), float("-inf"), float("nan")])
def test_a_number_too_large_is_named(number: float) -> None:
    assert refused({"3": node(seed=number)}) == {"graph.3.inputs.seed": "The number is too large."}
    assert "graph.3.inputs.deep" in refused({"3": node(deep={"a": {"b": [number, 1, 2]}})})
    assert "graph.3._meta" in refused({"3": {**node(), "_meta": {"n": number}}})


def test_a_value_nested_too_deeply_is_named() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = {"a": value}
    try:
        assert str(MAX_DEPTH) in refused({"3": node(value=value)})["graph.3.inputs.value"]
    finally:
        while isinstance(value, dict):  # a chain this long cannot be freed at once
            value = value["a"]


@pytest.mark.parametrize(
    "circle",
    [
        {"1": node(a=["1", 0])},
        {"1": node(a=["2", 0]), "2": node(a=["1", 0])},
        {"0": node(a=["1", 0]), "1": node(a=["2", 0]), "2": node(a=["3", 0]), "3": node(a=["1", 0])},
    ],
)
def test_a_circle_is_named(circle: Any) -> None:
    (reason,) = refused(circle).values()
    assert "circle" in reason


def test_a_long_circle_is_told_shortly() -> None:
    length = 1000
    (reason,) = refused({str(n): node(a=[str((n + 1) % length), 0]) for n in range(length)}).values()
    assert len(reason) < 200


def test_a_diamond_is_no_circle() -> None:
    read_graph({"1": node(), "2": node(a=["1", 0]), "3": node(a=["1", 0]), "4": node(a=["2", 0], b=["3", 0])})


def test_errors_come_together_but_not_without_end() -> None:
    assert len(refused({str(n): None for n in range(MAX_ERRORS + 5)})) == MAX_ERRORS


@pytest.mark.parametrize("backwards", [False, True])
def test_a_long_chain_is_read_quickly(backwards: bool) -> None:
    numbers = range(MAX_NODES)
    chain = {
        str(n): node(a=[str(n - 1), 0]) if n else node()
        for n in (reversed(numbers) if backwards else numbers)
    }
    began = time.process_time()
    assert len(read_graph(chain).nodes) == MAX_NODES
    assert time.process_time() - began < 2


def test_a_dense_graph_is_read_quickly() -> None:
    wide = {str(n): node(**{f"i{m}": [str(m), 0] for m in range(max(0, n - 50), n)}) for n in range(1000)}
    began = time.process_time()
    read_graph(wide)
    assert time.process_time() - began < 4


def test_too_many_nodes_are_refused() -> None:
    assert str(MAX_NODES) in refused({str(n): node() for n in range(MAX_NODES + 1)})["graph"]


def test_requirements_leave_room_in_their_event() -> None:
    many = {str(n): {"class_type": f"{n:04}" + "é" * 190, "inputs": {}} for n in range(MAX_NODES)}
    needed = requirements(read_graph(many).nodes)
    assert 0 < len(msgspec.json.encode(needed)) < 50_000


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
ids = some.sampled_from(["1", "2", "3", "4"])
inputs = some.dictionaries(
    some.sampled_from(["a", "b", "lora_name"]), some.tuples(ids, some.integers(0, 3)).map(list) | json_values
)
likely_nodes = some.fixed_dictionaries({"class_type": some.text(max_size=5), "inputs": inputs}) | json_values
likely_graphs = some.dictionaries(ids, likely_nodes, max_size=4)


def read_or_refused(graph: Any) -> ReadGraph | Invalid:
    try:
        return read_graph(graph)
    except Invalid as refusal:
        return refusal


@given(json_values | likely_graphs)
def test_nothing_does_worse_than_be_refused(graph: Any) -> None:
    match read_or_refused(graph):
        case Invalid(errors=errors):
            assert 1 <= len(errors) <= MAX_ERRORS
        case ReadGraph(body=body):
            assert msgspec.json.decode(body) == graph
