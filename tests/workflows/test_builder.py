"""Parameters become the graph that ComfyUI's own examples have, and what is wrong with them is told at once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.batch import MAX_RUNS
from domain.refusals import Invalid
from workflows.builder import build
from workflows.builder import fields as stands
from workflows.graph import links, read_graph
from workflows.grid import combinations
from workflows.parameters import MAX_SEED, Parameters, as_values, changed, read_parameters, seeded
from workflows.seeds import with_seed

LEAST: dict[str, Any] = {"checkpoint": "sd15.safetensors", "prompt": "a fox"}


def fields(**wrong: Any) -> list[str]:
    with pytest.raises(Invalid) as refusal:
        read_parameters(LEAST | wrong)
    assert all(error.reason.endswith(".") for error in refusal.value.errors)
    return [error.field for error in refusal.value.errors]


def classes(**more: Any) -> dict[str, str]:
    return {id: node["class_type"] for id, node in build(read_parameters(LEAST | more)).items()}


def test_two_words_are_enough_for_a_picture() -> None:
    assert list(classes().values()) == [
        "CheckpointLoaderSimple",
        "CLIPTextEncode",
        "CLIPTextEncode",
        "EmptyLatentImage",
        "KSampler",
        "VAEDecode",
        "SaveImage",
    ]


def test_loras_stand_in_a_chain_with_both_strengths() -> None:
    loras = [{"name": "a"}, {"name": "b", "strength_model": 0.5}, {"name": "c", "strength_clip": 0.0}]
    graph = build(read_parameters(LEAST | {"loras": loras}))
    chained = {id: node["inputs"] for id, node in graph.items() if node["class_type"] == "LoraLoader"}
    assert [each["lora_name"] for each in chained.values()] == ["a", "b", "c"]
    assert [(each["strength_model"], each["strength_clip"]) for each in chained.values()] == [
        (1.0, 1.0),
        (0.5, 0.5),
        (1.0, 0.0),
    ]
    assert [each["model"] for each in chained.values()] == [["1", 0], ["2", 0], ["3", 0]]
    assert [each["clip"] for each in chained.values()] == [["1", 1], ["2", 1], ["3", 1]]
    (sampler,) = (node["inputs"] for node in graph.values() if node["class_type"] == "KSampler")
    assert sampler["model"] == ["4", 0]


def test_an_image_is_encoded_and_changed_by_a_part() -> None:
    graph = build(read_parameters(LEAST | {"image": "x", "batch_size": 3}))
    found = [node["class_type"] for node in graph.values()]
    assert "EmptyLatentImage" not in found
    assert {"LoadImage", "VAEEncode", "RepeatLatentBatch"} <= set(found)
    (sampler,) = (node["inputs"] for node in graph.values() if node["class_type"] == "KSampler")
    assert sampler["denoise"] == 0.75


def test_a_mask_says_where_it_is_made_anew() -> None:
    graph = build(read_parameters(LEAST | {"image": "x", "mask": "y", "width": 64, "height": 64}))
    found = {node["class_type"]: node["inputs"] for node in graph.values()}
    assert found["LoadImageMask"] == {"image": "y", "channel": "red"}
    assert found["VAEEncodeForInpaint"]["grow_mask_by"] == 6
    assert found["ImageScale"]["width"] == 64
    assert found["KSampler"]["denoise"] == 1.0


def test_what_is_refused_in_the_graph_is_told_of_the_parameter_that_stands_there() -> None:
    more = {"loras": [{"name": "one"}, {"name": "two", "strength_clip": 0.5}], "image": "a", "mask": "b"}
    graph = build(read_parameters(LEAST | more))
    told = stands(graph)
    assert len(told) == len(set(told.values()))
    values = {told[path]: graph[path.split(".")[1]]["inputs"][path.split(".")[3]] for path in told}
    assert (values["checkpoint"], values["image"], values["mask"]) == ("sd15.safetensors", "a", "b")
    assert (values["loras[0].name"], values["loras[1].name"], values["loras[1].strength_clip"]) == (
        "one",
        "two",
        0.5,
    )
    assert {
        "seed",
        "steps",
        "cfg",
        "sampler_name",
        "scheduler",
        "denoise",
        "filename_prefix",
    } <= values.keys()


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = {
        "checkpoint": 7,
        "width": 8,
        "steps": 0,
        "cfg": "much",
        "loras": [{"name": ""}, {"strength_model": 99, "surprise": 1}],
        "surprise": True,
    }
    assert fields(**wrong) == [
        "surprise",
        "checkpoint",
        "loras[0].name",
        "loras[1].surprise",
        "loras[1].name",
        "loras[1].strength_model",
        "width",
        "steps",
        "cfg",
    ]
    assert fields(checkpoint="../x", width=100, height=30, seed=-2, mask="y") == [
        "checkpoint",
        "width",
        "height",
        "seed",
        "mask",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("checkpoint", ""),
        ("checkpoint", "x" * 256),
        ("checkpoint", "/etc/passwd"),
        ("checkpoint", "a\nb"),
        ("prompt", "x" * 20_001),
        ("width", 16_392),
        ("width", 512.5),
        ("batch_size", 65),
        ("batch_size", 0),
        ("seed", MAX_SEED + 1),
        ("seed", True),
        ("steps", 1_001),
        ("cfg", 100.5),
        ("denoise", 1.01),
        ("sampler_name", "euler\n"),
        ("sampler_name", "../x"),
        ("filename_prefix", "../x"),
        ("loras", [{"name": "a"}] * 21),
        ("grow_mask", -1),
    ],
)
def test_every_field_has_its_bounds(field: str, value: Any) -> None:
    assert fields(**{field: value})[0].startswith(field)


def test_all_pictures_together_have_a_bound() -> None:
    assert fields(width=8192, height=8192, batch_size=2) == ["width"]
    read_parameters(LEAST | {"width": 8192, "height": 8192})


def test_one_side_alone_does_not_say_how_an_image_is_scaled() -> None:
    assert fields(image="x", width=64) == ["height"]


def test_a_seed_that_was_drawn_stays() -> None:
    anything = read_parameters(LEAST)
    assert seeded(anything, 7).seed == 7
    assert seeded(changed(anything, {"seed": 3}), 7).seed == 3
    assert read_parameters(as_values(seeded(anything, 7))) == seeded(anything, 7)


sides = some.integers(2, 64).map(lambda eighths: 8 * eighths)
usable = some.builds(
    Parameters,
    checkpoint=some.sampled_from(["sd15.safetensors", "xl/base.ckpt"]),
    prompt=some.text(max_size=30),
    loras=some.lists(some.sampled_from(["a", "b"]), max_size=5).map(
        lambda names: tuple(read_parameters(LEAST | {"loras": [{"name": name} for name in names]}).loras)
    ),
    width=sides,
    height=sides,
    batch_size=some.integers(1, 4),
    seed=some.integers(0, MAX_SEED),
    image=some.none() | some.just("x"),
)


@given(usable)
def test_whatever_is_allowed_is_a_graph_whose_nodes_are_all_used(parameters: Parameters) -> None:
    read = read_graph(build(parameters))
    used = {source for node in read.nodes.values() for _, source, _ in links(node)}
    (saved,) = (id for id, node in read.nodes.items() if node.class_type == "SaveImage")
    assert used | {saved} == set(read.nodes)


def test_a_grid_has_every_combination_in_order() -> None:
    found = combinations(read_parameters(LEAST), {"cfg": [5, 7], "steps": [1, 2, 3]})
    assert [each.values for each in found] == [
        {"cfg": cfg, "steps": steps} for cfg in (5, 7) for steps in (1, 2, 3)
    ]
    assert [(each.wanted.cfg, each.wanted.steps) for each in found[2:4]] == [(5, 3), (7, 1)]


@pytest.mark.parametrize(
    ("vary", "field"),
    [
        ({}, "vary"),
        ({"surprise": [1]}, "vary.surprise"),
        ({"cfg": []}, "vary.cfg"),
        ({"cfg": [5, "x"]}, "vary.cfg[1]"),
        ({"loras": [[], [{"name": ""}]]}, "vary.loras[1][0].name"),
        ({"cfg": list(range(15)), "steps": list(range(1, 15))}, "vary"),
        ({name: [1] for name in ("cfg", "steps", "seed", "width", "height")}, "vary"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_by_name(vary: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        combinations(read_parameters(LEAST), vary)
    assert refusal.value.errors[0].field == field


def test_a_grid_may_be_as_large_as_a_batch() -> None:
    axes = {"cfg": [number / 10 for number in range(20)], "steps": list(range(1, 11))}
    assert len(combinations(read_parameters(LEAST), axes)) == MAX_RUNS


def test_a_combination_that_cannot_be_is_refused_even_where_each_value_can() -> None:
    with pytest.raises(Invalid) as refusal:
        combinations(read_parameters(LEAST | {"height": 8192}), {"width": [8192], "batch_size": [1, 64]})
    assert refusal.value.errors


def test_every_seed_of_a_graph_is_set_but_those_that_come_from_elsewhere() -> None:
    graph = {
        "1": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 2}},
        "2": {"class_type": "SamplerCustom", "inputs": {"noise_seed": 3}},
        "3": {"class_type": "KSampler", "inputs": {"seed": ["4", 0]}},
        "4": {"class_type": "Number", "inputs": {"seed": True}},
    }
    changed_graph = with_seed(graph, 9)
    assert changed_graph is not None
    assert [node["inputs"] for node in changed_graph.values()] == [
        {"seed": 9, "steps": 2},
        {"noise_seed": 9},
        {"seed": ["4", 0]},
        {"seed": True},
    ]
    assert with_seed({"4": graph["4"]}, 9) is None
