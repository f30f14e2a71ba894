"""What is wrong with a graph, by what classes tell of themselves."""

from typing import Any

import pytest

from workflows.protocol.prompt import GraphJson, PromptRefused
from workflows.protocol.validation import Valid, validate


def told(
    *outputs: str, module: str = "nodes", shows: bool = False, optional: Any = None, **required: Any
) -> dict[str, Any]:
    inputs = {"required": required, "optional": optional or {}}
    return {"input": inputs, "output": list(outputs), "python_module": module, "output_node": shows}


LORAS = [["mine.safetensors", "everybodys.safetensors"], {"tooltip": "Which."}]
CLASSES = {
    "Empty": told("IMAGE", width=["INT", {"min": 1, "max": 64}]),
    "Turn": told("IMAGE", image=["IMAGE"]),
    "Pick": told("IMAGE", lora_name=LORAS),
    "Load": told("IMAGE", image=[["red.png"], {"image_upload": True}]),
    "Save": told(shows=True, images=["IMAGE,MASK"], optional={"note": ["STRING", {}]}),
    "Any": told(shows=True, value=["*", {}]),
    "ForeignPick": told("IMAGE", module="custom_nodes.pack", lora_name=LORAS, width=["INT", {"max": 8}]),
    "ForeignSave": told(module="custom_nodes.pack", shows=True, images=["LATENT"]),
    "Garbage": {"input": {"required": {"a": None, "b": 7}}, "output": None, "output_node": True},
}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def saved(first: dict[str, Any]) -> GraphJson:
    return {"1": first, "2": node("Save", images=["1", 0])}


def refused(graph: GraphJson, **more: Any) -> PromptRefused:
    found = validate(graph, CLASSES, **more)
    assert isinstance(found, PromptRefused)
    return found


def valid(graph: GraphJson, **more: Any) -> Valid:
    found = validate(graph, CLASSES, **more)
    assert isinstance(found, Valid)
    return found


def test_a_sound_graph_is_valid_and_its_literals_are_cast() -> None:
    graph = saved(node("Empty", width="64"))
    assert valid(graph) == Valid(("2",), {})
    assert graph["1"]["inputs"]["width"] == 64


def test_what_is_offered_is_named_and_no_more() -> None:
    problems = refused(saved(node("Pick", lora_name="other"))).node_errors["1"]
    (error,) = problems.errors
    assert (error.type, problems.dependent_outputs) == ("value_not_in_list", ("2",))
    assert error.details == "lora_name: 'other' not in ['mine.safetensors', 'everybodys.safetensors']"
    assert error.extra_info == {"input_name": "lora_name", "input_config": LORAS, "received_value": "other"}


def test_a_long_list_is_not_sent_back() -> None:
    classes = CLASSES | {"Pick": told("IMAGE", lora_name=[[str(n) for n in range(21)]])}
    found = validate(saved(node("Pick", lora_name="x")), classes)
    assert isinstance(found, PromptRefused)
    (error,) = found.node_errors["1"].errors
    assert error.details == "lora_name: 'x' not in (list of length 21)"
    assert error.extra_info["input_config"] is None


def test_what_others_nodes_offer_is_theirs_to_check_but_not_numbers() -> None:
    assert valid(saved(node("ForeignPick", lora_name="other", width=8))).outputs == ("2",)
    errors = refused(saved(node("ForeignPick", lora_name="other", width=9))).node_errors["1"].errors
    assert [each.type for each in errors] == ["value_bigger_than_max"]
    assert valid({"1": node("Empty", width=1), "2": node("ForeignSave", images=["1", 0])}).outputs == ("2",)


def test_a_file_is_judged_by_who_knows_files() -> None:
    graph = saved(node("Load", image="blue.png"))
    assert valid(graph).outputs == ("2",)
    wrong = {("1", "image"): "Invalid image file: blue.png", ("7", "image"): "of no node"}
    (error,) = refused(graph, wrong=wrong).node_errors["1"].errors
    assert error.type == "custom_validation_failed"
    assert error.details == "image - Invalid image file: blue.png"


@pytest.mark.parametrize("link", [("Save", "images"), ("Any", "value")])
def test_types_that_share_a_name_fit(link: tuple[str, str]) -> None:
    name, input = link
    graph = {"1": node("Empty", width=1), "2": node(name, **{input: ["1", 0]})}
    assert valid(graph).outputs == ("2",)


def test_a_chain_of_thousands_is_looked_at_to_its_end() -> None:
    count = 5_000
    graph = {"0": node("Empty", width=65)}
    graph |= {str(n): node("Turn", image=[str(n - 1), 0]) for n in range(1, count)}
    graph["end"] = node("Save", images=[str(count - 1), 0])
    assert list(refused(graph).node_errors) == ["0"]
    graph["0"] = node("Empty", width=64)
    assert valid(graph).outputs == ("end",)


def test_a_cycle_is_refused_and_nothing_says_so() -> None:
    graph = {"1": node("Turn", image=["2", 0]), "2": node("Turn", image=["1", 0])}
    found = refused(graph | {"3": node("Save", images=["1", 0])})
    assert (found.error.type, found.error.details) == ("prompt_outputs_failed_validation", "")
    assert found.node_errors == {}


def test_a_node_shared_by_good_and_bad_is_told_once_with_all_that_hang_on_it() -> None:
    graph = {
        "1": node("Empty", width=0),
        "2": node("Save", images=["1", 0]),
        "3": node("Save", images=["1", 0]),
        "4": node("Empty", width=1),
        "5": node("Save", images=["4", 0]),
    }
    found = valid(graph)
    assert found.outputs == ("5",)
    assert found.node_errors["1"].dependent_outputs == ("2", "3")


BROKEN: dict[str, Any] = {
    "no node": "x",
    "no class": {"inputs": {}},
    "a class that is a list": {"class_type": ["Save"], "inputs": {}},
    "no inputs": {"class_type": "Save"},
    "inputs that are a list": {"class_type": "Save", "inputs": ["images"]},
    "a link from a list": node("Save", images=[["1"], 0]),
    "a link from a number": node("Save", images=[1, 0]),
    "a slot that is text": node("Save", images=["1", "0"]),
    "a slot that is not there": node("Save", images=["1", 9]),
    "a class that told nonsense": {"class_type": "Garbage", "inputs": {}},
}


@pytest.mark.parametrize("case", BROKEN)
def test_whatever_is_sent_is_refused_without_our_insides(case: str) -> None:
    found = refused({"1": node("Empty", width=1), "2": BROKEN[case]})
    assert ".py" not in str(found)
