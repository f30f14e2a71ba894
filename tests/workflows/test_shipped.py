"""The templates that come with the program: sound by themselves, and as ComfyUI's own nodes would have them.

`comfyui_nodes.json` is what /object_info of ComfyUI 0.3.64 says of the nodes they use.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.sandbox.nodes import NODES
from workflows.filling import fill
from workflows.forms import Kind, Template
from workflows.graph import is_link, read_graph
from workflows.registry import SHIPPED, Entry, load
from workflows.values import checked
from workflows.wanted import OfTemplate, seeded

COMFYUI: dict[str, Any] = msgspec.json.decode(Path(__file__).with_name("comfyui_nodes.json").read_bytes())
REGISTRY = load(SHIPPED)
ALL = list(REGISTRY.listed())
LORAS = [{"name": "a.safetensors"}, {"name": "b.safetensors", "strength_model": 0.25}]


def example(template: Template, **more: Any) -> dict[str, Any]:
    """With values for all there is."""
    form = template.form
    pictures = [*form.of_kind(Kind.IMAGE), *form.of_kind(Kind.MASK)]
    return checked(form, {each.name: "ab" * 32 for each in pictures} | form.example | more)


def graphs(entry: Entry) -> Iterator[dict[str, Any]]:
    """By its example, and with LoRAs where it takes some."""
    template = entry.template
    chains = {each.name: LORAS for each in template.form.of_kind(Kind.LORA)}
    for values in (example(template), example(template, **chains)):
        found = seeded(OfTemplate(id=entry.id, template=template, values=values), lambda: 7)
        assert isinstance(found, OfTemplate)
        yield fill(template, found.values).graph


def test_there_are_templates_for_each_family() -> None:
    assert {entry.id for entry in ALL} >= {
        *("sd15_text_to_image", "sdxl_text_to_image", "flux_text_to_image"),
        *("qwen_single", "qwen_batch", "qwen_inpaint", "qwen_upscale"),
        *("plain_resize", "plain_blend", "plain_card"),
    }
    inpaint, batch = REGISTRY.get("qwen_inpaint"), REGISTRY.get("qwen_batch")
    assert inpaint
    assert (inpaint.template.form.requires_image, inpaint.template.form.requires_mask) == (True, True)
    assert batch
    assert (batch.template.form.supports_batch, batch.template.form.max_batch_size) == (True, 10)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_every_form_says_what_each_parameter_is(entry: Entry) -> None:
    form = entry.template.form
    assert form.description
    assert form.example
    assert all(each.label and each.group for each in form.parameters)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_comfyui_knows_every_node_and_input_of_every_graph(entry: Entry) -> None:
    for graph in graphs(entry):
        nodes = read_graph(graph).nodes
        for id, node in nodes.items():
            known = COMFYUI[node.class_type]["inputs"]
            assert node.inputs.keys() <= known.keys(), id
            needed = {name for name, declared in known.items() if not declared.get("optional")}
            assert needed <= node.inputs.keys(), id
            for name, value in node.inputs.items():
                if is_link(value):
                    source, slot = value
                    assert COMFYUI[nodes[source].class_type]["output"][slot] == known[name]["type"], (
                        id,
                        name,
                    )
                else:
                    assert fits(known[name], value), (id, name, value)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_no_form_lets_in_what_comfyui_would_refuse(entry: Entry) -> None:
    for each in entry.template.form.parameters:
        for bind in each.binds:
            declared = COMFYUI[entry.template.graph[bind.node]["class_type"]]["inputs"][bind.input]
            for bound, most in (("min", min), ("max", max)):
                if each.type in (Kind.INT, Kind.FLOAT, Kind.SIZE):
                    stated, limit = getattr(each, bound), declared[bound]
                    assert most(stated, limit) == limit, (each.name, bound)
            assert set(each.choices) <= set(declared.get("options", each.choices)), each.name


def test_those_without_a_model_are_for_the_sandbox_too() -> None:
    plain = list(REGISTRY.listed(family="plain"))
    assert plain
    for entry in plain:
        assert {node["class_type"] for node in entry.template.graph.values()} <= NODES.keys()


def fits(declared: dict[str, Any], value: Any) -> bool:
    kinds = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool, "FILE": str, "COMBO": str}
    if not isinstance(value, kinds[declared["type"]]):
        return False
    least, most = declared.get("min", value), declared.get("max", value)
    return bool(least <= value <= most and value in declared.get("options", [value]))
