"""A template's graph with values in it: each bound input set, each chain of LoRAs put where its loader stood."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from workflows.forms import Form, Kind, Template
from workflows.graph import is_link

CHAINED = {"LoraLoader": ("model", "clip"), "LoraLoaderModelOnly": ("model",)}
"""ComfyUI's loaders of LoRAs, and what passes through them, by slot."""
LORA_INPUT = "lora_name"


class Filled(Struct, frozen=True):
    """`fields`: which value stands at a path of the graph (`graph.3.inputs.steps`), as it is named in the form."""

    graph: dict[str, Any]
    fields: dict[str, str]


def fill(template: Template, values: Mapping[str, Any]) -> Filled:
    """`values`: of every parameter, checked."""
    nodes = {id: node | {"inputs": dict(node["inputs"])} for id, node in template.graph.items()}
    fields: dict[str, str] = {}
    for each in template.form.parameters:
        if each.type is Kind.LORA:
            continue
        for bind in each.binds:
            value = values[each.name]
            nodes[bind.node]["inputs"][bind.input] = value if bind.part is None else value[bind.part]
            named = each.name if bind.part is None else f"{each.name}.{bind.part}"
            fields[_path(bind.node, bind.input)] = named
    for each in template.form.of_kind(Kind.LORA):
        for bind in each.binds:
            links = _chain(nodes, bind.node, values[each.name])
            fields |= {_path(id, LORA_INPUT): f"{each.name}[{at}].name" for at, id in enumerate(links)}
    return Filled(nodes, fields)


def bare(template: Template) -> dict[str, Any]:
    """The graph without its chains of LoRAs: what it needs whoever fills it in."""
    form = template.form
    none = Form(
        name=form.name,
        category=form.category,
        model_family=form.model_family,
        parameters=form.of_kind(Kind.LORA),
    )
    return fill(Template(none, template.graph), {each.name: () for each in none.parameters}).graph


def _chain(nodes: dict[str, Any], anchor: str, loras: Sequence[Mapping[str, Any]]) -> list[str]:
    """Put as many loaders in the place of the one that is there; those who looked at it look at the last one."""
    loader = nodes[anchor]
    through = CHAINED[loader["class_type"]]
    sources = [loader["inputs"][name] for name in through]
    ids: list[str] = []
    for lora in loras:
        id = anchor if not ids else _free(nodes, anchor, len(ids) + 1)
        strengths = {name: lora[name] for name in _strengths(loader) if lora.get(name) is not None}
        if "strength_model" in strengths and "strength_clip" in loader["inputs"]:
            strengths.setdefault("strength_clip", strengths["strength_model"])
        inputs = loader["inputs"] | strengths | {LORA_INPUT: lora["name"]}
        nodes[id] = loader | {"inputs": inputs | dict(zip(through, sources, strict=True))}
        sources = [[id, slot] for slot in range(len(through))]
        ids.append(id)
    if not ids:
        del nodes[anchor]
    for id, node in nodes.items():
        if id not in ids:
            node["inputs"] |= {
                name: sources[value[1]]
                for name, value in node["inputs"].items()
                if is_link(value) and value[0] == anchor
            }
    return ids


def _strengths(loader: Mapping[str, Any]) -> list[str]:
    return [name for name in ("strength_model", "strength_clip") if name in loader["inputs"]]


def _free(nodes: Mapping[str, Any], anchor: str, number: int) -> str:
    id = f"{anchor}-{number}"
    while id in nodes:
        id = f"{id}-"
    return id


def _path(node: str, input: str) -> str:
    return f"graph.{node}.inputs.{input}"
