"""Forms: what they take, what is wrong with them, and the graphs that they fill."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.refusals import Invalid
from workflows.filling import bare, fill
from workflows.form_faults import check
from workflows.forms import Form, Template
from workflows.graph import read_graph
from workflows.json_schema import schema
from workflows.parameters import MAX_SEED
from workflows.reading import read
from workflows.registry import SHIPPED, TemplatesError, load, read_template, written
from workflows.values import checked, defaults
from workflows.wanted import OfTemplate, changed, seed_of, seeded, with_seed

INPUT = "ab" * 32
GRAPH: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "2": {
        "class_type": "LoraLoader",
        "inputs": {
            "model": ["1", 0],
            "clip": ["1", 1],
            "lora_name": "x.safetensors",
            "strength_model": 0.5,
            "strength_clip": 0.75,
        },
    },
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["2", 1]}},
    "4": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "5": {
        "class_type": "ImageScale",
        "inputs": {"image": ["4", 0], "width": 8, "height": 8, "crop": "center"},
    },
    "6": {
        "class_type": "KSampler",
        "inputs": {"model": ["2", 0], "positive": ["3", 0], "seed": 0, "steps": 20, "cfg": 7.0},
    },
    "7": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "a"}},
}


def parameter(name: str, type: str, node: str, input: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type, "binds": [{"node": node, "input": input}]} | more


SIZE = {
    "name": "size",
    "type": "size",
    "min": 64,
    "max": 1024,
    "step": 8,
    "default": {"width": 512, "height": 512},
    "binds": [{"node": "5", "input": name, "part": name} for name in ("width", "height")],
}
PARAMETERS: dict[str, dict[str, Any]] = {
    each["name"]: each
    for each in (
        parameter("prompt", "text", "3", "text", max=20, min=1),
        parameter("image", "image", "4", "image"),
        parameter("steps", "int", "6", "steps", min=1, max=49, step=4, default=21),
        parameter("cfg", "float", "6", "cfg", min=1, max=20, step=0.1, default=7.3),
        parameter("seed", "seed", "6", "seed", max=99, default=-1),
        parameter("crop", "choice", "5", "crop", choices=["center", "disabled"], default="center"),
        parameter("checkpoint", "checkpoint", "1", "ckpt_name", default="a.safetensors"),
        parameter("title", "string", "7", "filename_prefix", default="a"),
        parameter("loras", "lora", "2", "lora_name", max=3, default=[]),
        SIZE,
    )
}


def form(parameters: list[dict[str, Any]] | None = None, **more: Any) -> Form:
    described = {"name": "A form", "category": "test", "model_family": "plain"} | more
    return read(described | {"parameters": parameters or list(PARAMETERS.values())}, Form)


TEMPLATE = Template(form(), GRAPH)
LEAST = {"prompt": "a fox", "image": INPUT}


def faults(change: Any, graph: dict[str, Any] | None = None, **more: Any) -> list[str]:
    """The paths of what is wrong with the form, with one parameter changed or others in the place of all."""
    parameters = list((PARAMETERS | change).values()) if isinstance(change, dict) else change
    with pytest.raises(Invalid) as refused:
        check(Template(form(parameters, **more), graph or GRAPH))
    return [error.field for error in refused.value.errors]


def refusals(**values: Any) -> list[str]:
    with pytest.raises(Invalid) as refused:
        checked(TEMPLATE.form, LEAST | values)
    return [error.field for error in refused.value.errors]


def test_a_sound_template_is_let_through_and_read_as_it_was_written() -> None:
    check(TEMPLATE)
    assert read_template(written(TEMPLATE)) == TEMPLATE


def test_what_is_not_given_is_as_the_form_has_it() -> None:
    values = checked(TEMPLATE.form, LEAST | {"steps": 5})
    assert list(values) == list(PARAMETERS)
    assert (values["steps"], values["cfg"], values["seed"]) == (5, 7.3, -1)
    assert defaults(TEMPLATE.form).keys() == PARAMETERS.keys() - {"prompt", "image"}


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        checked(TEMPLATE.form, {"prompt": "x" * 21, "steps": 0, "cfg": "7", "odd": 1, "seed": -7})
    told = {error.field: error.reason for error in refused.value.errors}
    assert list(told) == ["odd", "prompt", "image", "steps", "cfg", "seed"]
    assert told["odd"] == "The template has no such parameter."
    assert told["image"] == "It is missing."
    assert told["steps"] == "It must be at least 1."


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("prompt", [1, None, "", "x" * 21], ["x", "a\nb"]),
        ("steps", [True, 1.0, "1", 0, 50, 2, 2**70], [1, 5, 49]),
        ("cfg", [True, "7", 0.99, 20.1, 1.05, float("inf"), 10**400], [1, 20, 1.1, 7.3]),
        ("seed", [-2, 100, True, 1.5], [-1, 0, 99]),
        ("crop", ["middle", 1, None, True], ["disabled"]),
        (
            "image",
            ["photo.png", "input:" + INPUT, "../x", 7, INPUT + "\n"],
            ["7C9E6679-7425-40de-944b-e07fc1f90ae7"],
        ),
        ("checkpoint", ["", "../a", "/a", "a\0b", 5], ["sub/a.safetensors"]),
        ("title", ["a\nb", "x" * 1001, 5], ["Card 7"]),
        ("loras", ["a", [1], [{}], [{"name": "a", "odd": 1}], [{"name": "../a"}], [{"name": "a"}] * 4], [[]]),
        ("size", [512, {}, {"width": 64}, {"width": 60, "height": 2048}], [{"width": 64, "height": 1024}]),
    ],
)
def test_each_type_takes_its_values_and_no_others(name: str, wrong: list[Any], right: list[Any]) -> None:
    for value in wrong:
        assert all(re.match(rf"{name}\b", field) for field in refusals(**{name: value})), value
    for value in right:
        assert checked(TEMPLATE.form, LEAST | {name: value})[name] == value


def test_errors_are_told_where_they_are() -> None:
    assert refusals(size={"width": 60, "height": 70}) == ["size.width", "size.height"]
    assert refusals(loras=[{"name": "a"}, {"name": "", "strength_model": 99}]) == [
        "loras[1].name",
        "loras[1].strength_model",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"steps": parameter("steps", "int", "66", "steps")}, "form.parameters[2].binds[0].node"),
        ({"steps": parameter("steps", "int", "6", "speed")}, "form.parameters[2].binds[0].input"),
        ({"steps": parameter("steps", "int", "6", "model")}, "form.parameters[2].binds[0].input"),
        ({"steps": parameter("steps", "int", "6", "cfg")}, "form.parameters[3].binds[0]"),
        ({"steps": PARAMETERS["steps"] | {"default": 2}}, "form.parameters[2].default"),
        ({"steps": PARAMETERS["steps"] | {"default": "21"}}, "form.parameters[2].default"),
        ({"steps": PARAMETERS["steps"] | {"min": 50}}, "form.parameters[2].max"),
        ({"steps": PARAMETERS["steps"] | {"min": 0.5}}, "form.parameters[2].min"),
        ({"steps": PARAMETERS["steps"] | {"step": 0}}, "form.parameters[2].step"),
        ({"steps": PARAMETERS["steps"] | {"choices": [1]}}, "form.parameters[2].choices"),
        ({"crop": PARAMETERS["crop"] | {"choices": []}}, "form.parameters[5].choices"),
        ({"crop": PARAMETERS["crop"] | {"choices": ["center"] * 2}}, "form.parameters[5].choices"),
        ({"crop": PARAMETERS["crop"] | {"min": 1}}, "form.parameters[5].min"),
        ({"image": PARAMETERS["image"] | {"default": INPUT}}, "form.parameters[1].default"),
        ({"image": parameter("image", "image", "7", "filename_prefix")}, "form.parameters[1].binds[0]"),
        ({"title": parameter("title", "string", "4", "image")}, "form.parameters[7].binds[0]"),
        ({"title": parameter("title", "string", "2", "lora_name")}, "form.parameters[7].binds[0]"),
        ({"loras": parameter("loras", "lora", "1", "ckpt_name")}, "form.parameters[8].binds[0]"),
        ({"size": parameter("size", "size", "5", "width")}, "form.parameters[9].binds"),
        ({"steps": PARAMETERS["cfg"]}, "form.parameters[3].name"),
        ({"steps": PARAMETERS["steps"] | {"wildcards": True}}, "form.parameters[2].wildcards"),
        ({"title": PARAMETERS["title"] | {"wildcards": True, "default": "{a"}}, "form.defaults.title"),
        ({"title": PARAMETERS["title"] | {"wildcards": True, "default": "__odd__"}}, "form.defaults.title"),
        ({"steps": PARAMETERS["steps"] | {"label": "a\0b"}}, "form.parameters[2].label"),
        ({"steps": PARAMETERS["steps"] | {"description": "a\x07"}}, "form.parameters[2].description"),
    ],
)
def test_a_form_that_does_not_fit_is_refused_at_the_place(change: dict[str, Any], told: str) -> None:
    assert told in faults(change)


@pytest.mark.parametrize("name", ["Steps", "steps\n", "", "1st", "a" * 51])
def test_a_parameter_has_a_plain_name(name: str) -> None:
    with pytest.raises(Invalid):
        form([PARAMETERS["steps"] | {"name": name}])


def test_all_faults_of_a_template_are_named() -> None:
    wrong = {
        "steps": parameter("steps", "int", "66", "steps", default="x"),
        "cfg": PARAMETERS["cfg"] | {"step": -1},
        "seed": parameter("seed", "seed", "6", "nothing"),
    }
    assert faults(wrong) == [
        "form.parameters[2].default",
        "form.parameters[2].binds[0].node",
        "form.parameters[3].step",
        "form.parameters[4].binds[0].input",
    ]
    assert faults({}, example={"steps": 2, "odd": 1}) == [
        "form.example.odd",
        "form.example.prompt",
        "form.example.steps",
    ]
    assert faults({}, {"1": {"class_type": "X"}}) == ["graph.1.inputs"]


def test_values_stand_at_the_inputs_they_are_bound_to() -> None:
    values = checked(TEMPLATE.form, LEAST | {"steps": 9, "size": {"width": 64, "height": 128}, "seed": 7})
    made = fill(TEMPLATE, values)
    nodes = made.graph
    assert (nodes["6"]["inputs"]["steps"], nodes["6"]["inputs"]["seed"]) == (9, 7)
    assert (nodes["5"]["inputs"]["width"], nodes["5"]["inputs"]["height"]) == (64, 128)
    assert made.fields["graph.5.inputs.height"] == "size.height"
    assert GRAPH["6"]["inputs"]["steps"] == 20


def test_without_loras_their_loader_is_not_in_the_way() -> None:
    nodes = fill(TEMPLATE, checked(TEMPLATE.form, LEAST)).graph
    assert "2" not in nodes
    assert (nodes["6"]["inputs"]["model"], nodes["3"]["inputs"]["clip"]) == (["1", 0], ["1", 1])
    assert bare(TEMPLATE).keys() == nodes.keys()


def test_loras_are_chained_in_order_with_their_own_strengths_or_the_loaders() -> None:
    chain = [
        {"name": "a"},
        {"name": "b", "strength_model": 2},
        {"name": "c", "strength_model": 1, "strength_clip": 0},
    ]
    made = fill(TEMPLATE, checked(TEMPLATE.form, LEAST | {"loras": chain}))
    first, second, third = (made.graph[id]["inputs"] for id in ("2", "2-2", "2-3"))
    assert [each["lora_name"] for each in (first, second, third)] == ["a", "b", "c"]
    assert [(each["strength_model"], each["strength_clip"]) for each in (first, second, third)] == [
        (0.5, 0.75),
        (2, 2),
        (1, 0),
    ]
    assert (first["model"], second["model"], third["clip"]) == (["1", 0], ["2", 0], ["2-2", 1])
    assert made.graph["6"]["inputs"]["model"] == ["2-3", 0]
    assert made.graph["3"]["inputs"]["clip"] == ["2-3", 1]
    assert made.fields["graph.2-3.inputs.lora_name"] == "loras[2].name"
    assert read_graph(made.graph)


def test_a_seed_is_drawn_within_its_bounds_and_stays_when_it_is_given() -> None:
    wanted = OfTemplate(id="t", template=TEMPLATE, values=checked(TEMPLATE.form, LEAST))
    assert seed_of(seeded(wanted, lambda: 250)) == 50
    assert seed_of(seeded(changed(wanted, {"seed": 3}), lambda: 250)) == 3
    other = with_seed(wanted, 8)
    assert other
    assert seed_of(other) == 8
    seedless = Template(form([SIZE]), GRAPH)
    assert with_seed(OfTemplate(id="t", template=seedless, values=checked(seedless.form, {})), 8) is None


def satisfies(described: dict[str, Any], value: Any) -> bool:
    """As JSON Schema has it, for the words that ours use."""
    kinds: dict[str, Any] = {
        "integer": lambda: type(value) is int,
        "number": lambda: type(value) in (int, float),
        "string": lambda: isinstance(value, str),
        "object": lambda: isinstance(value, dict),
        "array": lambda: isinstance(value, list),
        "boolean": lambda: isinstance(value, bool),
        "null": lambda: value is None,
    }
    if "type" in described and not kinds[described["type"]]():
        return False
    if "enum" in described and not any(
        type(value) is type(each) and value == each for each in described["enum"]
    ):
        return False
    if "anyOf" in described and not any(satisfies(each, value) for each in described["anyOf"]):
        return False
    if isinstance(value, int | float) and not isinstance(value, bool):
        step = described.get("multipleOf")
        return bool(
            described.get("minimum", value) <= value <= described.get("maximum", value)
            and (step is None or value % step == 0)
        )
    if isinstance(value, str):
        fits = described.get("minLength", 0) <= len(value) <= described.get("maxLength", len(value))
        return bool(fits and re.search(described.get("pattern", ""), value))
    if isinstance(value, list):
        fits = described.get("minItems", 0) <= len(value) <= described.get("maxItems", len(value))
        return bool(fits and all(satisfies(described.get("items", {}), each) for each in value))
    if isinstance(value, dict):
        fields = described.get("properties", {})
        return set(described.get("required", ())) <= value.keys() <= fields.keys() and all(
            satisfies(fields[name], each) for name, each in value.items()
        )
    return True


words = st.sampled_from(["", "a", "fox", "../x", "a\nb", INPUT, "center", "x" * 21])
numbers = st.integers(-2, 60) | st.sampled_from([2**70, 0.5, 7.0])
loras = st.lists(st.fixed_dictionaries({"name": words}, optional={"strength_model": numbers}), max_size=4)
sizes = st.fixed_dictionaries({"width": numbers, "height": st.sampled_from([64, 65, 2048])})
anything = st.none() | st.booleans() | numbers | words | loras | sizes
MORE_THAN_THE_SCHEMA = {"steps", "cfg", "checkpoint", "loras", "title", "image"}
"""Steps from where no validator counts, and paths: there the schema lets more through."""


@given(st.dictionaries(st.sampled_from([*PARAMETERS, "odd"]), anything, max_size=4))
def test_the_json_schema_takes_what_the_form_takes(values: dict[str, Any]) -> None:
    given_values = LEAST | values
    try:
        checked(TEMPLATE.form, given_values)
        taken = True
    except Invalid as refusal:
        taken = False
        if {re.split(r"[.\[]", error.field)[0] for error in refusal.errors} <= MORE_THAN_THE_SCHEMA:
            return
    assert satisfies(schema(TEMPLATE.form), given_values) == taken


def test_the_schema_says_what_a_page_needs() -> None:
    described = schema(TEMPLATE.form)
    assert described["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert described["required"] == ["prompt", "image"]
    assert described["properties"]["size"]["properties"]["width"]["multipleOf"] == 8
    assert described["properties"]["seed"] == {"type": "integer", "minimum": -1, "maximum": 99, "default": -1}
    assert schema(form([parameter("seed", "seed", "6", "seed")]))["properties"]["seed"]["maximum"] == MAX_SEED


def two_files(folder: Path, name: str, described: Any, graph: Any, suffix: str = ".json") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    encode = msgspec.json.encode if suffix == ".json" else msgspec.yaml.encode
    (folder / f"{name}.form{suffix}").write_bytes(encode(described))
    (folder / f"{name}.graph{suffix}").write_bytes(encode(graph))


def test_two_files_in_a_folder_are_a_template_in_json_or_in_yaml(tmp_path: Path) -> None:
    two_files(tmp_path, "resize", TEMPLATE.form, GRAPH)
    two_files(tmp_path / "own", "resize", TEMPLATE.form, GRAPH, ".yaml")
    found = load(SHIPPED, tmp_path)
    assert {"resize", "own_resize", "plain_resize"} <= {entry.id for entry in found.listed()}
    first, second = found.get("resize"), found.get("own_resize")
    assert first
    assert second
    assert first.body == second.body


def test_everything_wrong_with_a_folder_is_told_at_once(tmp_path: Path) -> None:
    wrong = msgspec.to_builtins(TEMPLATE.form) | {"category": "No Word", "odd": 1}
    unbound = msgspec.to_builtins(form([parameter("steps", "int", "66", "steps")]))
    two_files(tmp_path, "wrong", wrong, GRAPH)
    two_files(tmp_path, "unbound", unbound, GRAPH)
    two_files(tmp_path, "broken", TEMPLATE.form, {"1": {}})
    two_files(tmp_path / "plain", "resize", TEMPLATE.form, GRAPH)
    (tmp_path / "alone.form.yaml").write_text("name: x")
    (tmp_path / "cut.form.json").write_text("{")
    (tmp_path / "cut.graph.yaml").write_text("{a: [")
    two_files(tmp_path, "Big", TEMPLATE.form, GRAPH)
    with pytest.raises(TemplatesError) as refused:
        load(SHIPPED, tmp_path, tmp_path / "nowhere")
    told = str(refused.value)
    for part in (
        "wrong.form.json: form.odd: ",
        "wrong.form.json: form.category: ",
        "unbound.form.json: form.parameters[0].binds[0].node: The graph has no node 66.",
        "broken.graph.json: graph.1.class_type: ",
        "there is a template plain_resize already.",
        "alone: it has 0 files alone.graph.json or .yaml",
        "cut.form.json: it cannot be read: ",
        "cut.graph.yaml: it cannot be read: ",
        "Big cannot be the id of a template",
        "nowhere: there is no such folder.",
    ):
        assert part in told, told


def test_templates_are_found_by_what_they_are() -> None:
    shipped = load(SHIPPED)
    assert {entry.id for entry in shipped.listed("editing")} == {"qwen_inpaint"}
    assert [entry.id for entry in shipped.listed(family="qwen", text="TEN pictures")] == ["qwen_batch"]
    assert not list(shipped.listed("editing", "sdxl"))
