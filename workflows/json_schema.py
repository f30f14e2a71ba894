"""What a form takes, as JSON Schema 2020-12: for programs, and for whoever generates a page from it."""

from typing import Any

import msgspec

from workflows.forms import Form, Kind, Parameter, Part
from workflows.parameters import RANDOM
from workflows.values import (
    INPUT,
    MAX_MODEL,
    ChainedLora,
    bounds_of_seed,
    defaults,
    longest,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(form: Form) -> dict[str, Any]:
    """Of the object of its values."""
    described: dict[str, Any] = {
        "$schema": DIALECT,
        "title": form.name,
        "type": "object",
        "properties": {each.name: _described(each) for each in form.parameters},
        "required": [each.name for each in form.parameters if each.required],
        "additionalProperties": False,
    }
    if form.description:
        described["description"] = form.description
    if form.example:
        described["examples"] = [defaults(form) | form.example]
    return described


def _described(each: Parameter) -> dict[str, Any]:
    described = _kind(each)
    for name, value in (("title", each.label), ("description", each.description)):
        if value:
            described[name] = value
    return described if each.required else described | {"default": each.default}


def _kind(each: Parameter) -> dict[str, Any]:
    match each.type:
        case Kind.INT:
            return {"type": "integer"} | _bounds(each)
        case Kind.FLOAT:
            return {"type": "number"} | _bounds(each)
        case Kind.SEED:
            least, most = bounds_of_seed(each)
            if least <= 0:
                return {"type": "integer", "minimum": RANDOM, "maximum": most}
            return {"type": "integer", "anyOf": [{"const": RANDOM}, {"minimum": least, "maximum": most}]}
        case Kind.TEXT | Kind.STRING:
            line = {} if each.type is Kind.TEXT else {"pattern": r"^[^\r\n]*$"}
            return {"type": "string", "minLength": int(each.min or 0), "maxLength": longest(each)} | line
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case Kind.CHOICE:
            return {"enum": list(each.choices)}
        case Kind.IMAGE | Kind.MASK:
            return {"type": "string", "pattern": f"^({INPUT.pattern})$"}
        case Kind.CHECKPOINT:
            return {"type": "string", "minLength": 1, "maxLength": MAX_MODEL}
        case Kind.SIZE:
            sides = {part.value: {"type": "integer", "minimum": 1} | _bounds(each) for part in Part}
            return {
                "type": "object",
                "properties": sides,
                "required": [part.value for part in Part],
                "additionalProperties": False,
            }
        case Kind.LORA:
            return {
                "type": "array",
                "items": _lora(),
                "minItems": int(each.min or 0),
                "maxItems": longest(each),
            }


def _bounds(each: Parameter) -> dict[str, Any]:
    """Steps only where every validator counts them alike: whole ones, from a multiple of theirs."""
    found: dict[str, Any] = {}
    if each.min is not None:
        found["minimum"] = each.min
    if each.max is not None:
        found["maximum"] = each.max
    if isinstance(each.step, int) and (each.min or 0) % each.step == 0:
        found["multipleOf"] = each.step
    return found


def _lora() -> dict[str, Any]:
    _, components = msgspec.json.schema_components([ChainedLora])
    (described,) = components.values()
    return {name: value for name, value in described.items() if name not in ("title", "description")}
