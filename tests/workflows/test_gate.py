"""What is let through to a backend, and what is not."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.gate import GateRules
from domain.ids import AccountId
from workflows.gate import RISKY, Refusal, vet
from workflows.graph import Graph, Node

ANN, BOB = AccountId(UUID(int=0xA)), AccountId(UUID(int=0xB))
MODULES = {
    "LoadImage": "nodes",
    "SaveImage": "nodes",
    "EmptyImage": "nodes",
    "Canny": "comfy_extras.nodes_canny",
    "CheckpointSave": "comfy_extras.nodes_model_merging",
    "Shell": "custom_nodes.evil",
    "OpenAIDalle3": "comfy_api_nodes.nodes_openai",
    "Sneaky": "nodes_evil.nodes",
}


def refusals(graph: Graph, rules: GateRules = GateRules()) -> tuple[Refusal, ...]:
    return vet(graph, owner=ANN, rules=rules, modules=MODULES)


def one(node_class: str, rules: GateRules = GateRules(), **inputs: Any) -> tuple[Refusal, ...]:
    return refusals({"7": Node(node_class, inputs)}, rules)


@pytest.mark.parametrize("name", ["LoadImage", "Canny", "NobodyKnowsIt"])
def test_comfyuis_own_nodes_are_let_through(name: str) -> None:
    assert one(name) == ()


@pytest.mark.parametrize("name", ["Shell", "OpenAIDalle3", "Sneaky", "CheckpointSave", *sorted(RISKY)])
def test_all_others_are_refused_by_node_class_and_reason_until_they_are_allowed(name: str) -> None:
    (refused,) = one(name)
    assert (refused.node, refused.node_class) == ("7", name)
    assert "not let through" in refused.reason
    assert one(name, GateRules(allowed=(name,))) == ()
    assert len(one(name, GateRules(allowed=(name,), denied=(name,)))) == 1


def test_an_own_node_may_be_denied() -> None:
    assert len(one("LoadImage", GateRules(denied=("LoadImage",)))) == 1
    assert len(one("NobodyKnowsIt", GateRules(denied=("NobodyKnowsIt",)))) == 1


@pytest.mark.parametrize(
    "image",
    [
        "../../../../etc/passwd",
        "/etc/passwd",
        "a/../../b.png",
        "..",
        "..\\..\\secret.png",
        "C:\\Windows\\a.png",
        "C:/a.png",
        "\\\\server\\share\\a.png",
        "~/a.png",
        " /etc/passwd",
        "a\0.png",
        "x.png [output]",
        "x.png [temp]",
        "x.png[input] ",
        f"user-{BOB}/a.png",
        f"sub/USER-{str(BOB).upper()}/a.png",
        {"deep": [["x", {"deeper": f"user-{BOB}/a.png"}]]},
        {"__value__": ["../a.png", 1]},
    ],
)
def test_what_leads_elsewhere_is_refused(image: Any) -> None:
    (refused,) = one("LoadImage", image=image)
    assert (refused.node, refused.input) == ("7", "image")


@pytest.mark.parametrize("image", ["a.png", "sub/dir/a b (1).png", "a..b.png", f"user-{ANN}/a.png", ["3", 0]])
def test_what_stays_in_its_folder_is_let_through(image: Any) -> None:
    assert one("LoadImage", image=image) == ()


def test_prose_is_not_taken_for_a_path() -> None:
    text = "a cat/dog ../.. \\(realistic\\) /imagine C: [output]"
    assert one("CLIPTextEncode", text=text) == ()
    assert len(one("CLIPTextEncode", text=f"embedding:user-{BOB}/x")) == 1


def test_sizes_have_their_limits_also_through_a_link() -> None:
    rules = GateRules(side=1_000, pixels=2_000_000, batch=4)
    assert one("EmptyImage", rules, width=1_000, height=1_000, batch_size=2) == ()
    assert [each.input for each in one("EmptyImage", rules, width=1_001, height=8)] == ["width"]
    assert [each.input for each in one("EmptyImage", rules, width="9999", height=8)] == ["width"]
    assert [each.input for each in one("EmptyImage", rules, width=8, height=8, batch_size=5)] == [
        "batch_size"
    ]
    assert len(one("EmptyImage", rules, width=1_000, height=1_000, batch_size=3)) == 1
    linked: Graph = {
        "1": Node("PrimitiveInt", {"value": 4_000}),
        "2": Node("EmptyImage", {"width": ["1", 0], "height": 8}),
    }
    assert [(each.node, each.input) for each in refusals(linked, rules)] == [("2", "width")]


def test_a_graph_with_too_many_nodes_is_refused_as_a_whole() -> None:
    graph = {str(number): Node("LoadImage", {}) for number in range(4)}
    (refused,) = refusals(graph, GateRules(nodes=3))
    assert refused.node == ""


def test_everything_is_told_at_once() -> None:
    graph: Graph = {
        "1": Node("Shell", {}),
        "2": Node("LoadImage", {"image": "../a", "mask": "/b"}),
    }
    assert [(each.node, each.input) for each in refusals(graph)] == [("1", ""), ("2", "image"), ("2", "mask")]


json = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=10,
)


@given(some.dictionaries(some.sampled_from(["image", "text", "width", "batch_size", "x"]), json))
def test_whatever_comes_is_vetted_without_a_fault(inputs: dict[str, Any]) -> None:
    one("LoadImage", **inputs)


@given(some.text(), some.sampled_from(["image", "ckpt_name", "filename_prefix", "folder"]))
def test_no_name_that_is_let_through_leaves_its_folder(text: str, name: str) -> None:
    if one("LoadImage", **{name: text}) == ():
        assert ".." not in text.replace("\\", "/").split("/")
        assert not text.startswith("/")
        assert "\0" not in text
    assert len(one("LoadImage", **{name: f"user-{uuid4()}/{text}"})) >= 1
