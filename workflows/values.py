"""Values of a form's parameters: read with their types and bounds, everything that is wrong with them told at once."""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from domain.refusals import FieldError, Invalid
from workflows.forms import MAX_TEXT, Form, Kind, Parameter, Part
from workflows.graph import unusable
from workflows.parameters import MAX_LORAS, MAX_SEED, NOT_POSSIBLE, RANDOM, Strength
from workflows.reading import faults

MAX_ERRORS = 100
MAX_LINE = 1_000
MAX_MODEL = 255
INPUT = re.compile(r"[0-9a-f]{64}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NUMBERS = (Kind.INT, Kind.FLOAT)
TEXTS = (Kind.STRING, Kind.TEXT)


class ChainedLora(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One in the chain. A strength that is left out is the one of the loader that the chain replaces."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL, examples=["ink.safetensors"])]
    strength_model: Strength | None = None
    strength_clip: Strength | None = None


def checked(form: Form, values: Mapping[str, Any]) -> dict[str, Any]:
    """All values in the form's order, with its defaults where none is given. Raises Invalid with every error."""
    if errors := tuple(islice(_faults(form, values), MAX_ERRORS)):
        raise Invalid(NOT_POSSIBLE, *errors)
    return {each.name: values.get(each.name, each.default) for each in form.parameters}


def defaults(form: Form) -> dict[str, Any]:
    """Of all parameters that have one."""
    return {each.name: each.default for each in form.parameters if not each.required}


def why_not(parameter: Parameter, value: Any, at: str) -> Iterator[FieldError]:
    """What is wrong with one value; `at` is its path."""
    match parameter.type:
        case Kind.INT | Kind.FLOAT:
            yield from _number(parameter, value, at)
        case Kind.SEED:
            least, most = bounds_of_seed(parameter)
            if type(value) is not int:
                yield FieldError(at, "It must be a whole number.")
            elif value != RANDOM and not least <= value <= most:
                yield FieldError(at, f"It must be -1, for any, or {least} to {most}.")
        case Kind.STRING | Kind.TEXT:
            yield from _text(parameter, value, at)
        case Kind.BOOLEAN:
            if type(value) is not bool:
                yield FieldError(at, "It must be true or false.")
        case Kind.CHOICE:
            if not any(type(value) is type(each) and value == each for each in parameter.choices):
                yield FieldError(at, f"It must be one of {_listed(parameter.choices)}.")
        case Kind.IMAGE | Kind.MASK:
            if not isinstance(value, str) or not INPUT.fullmatch(value):
                yield FieldError(at, "It must be the id or the digest of an input: POST /api/v1/inputs.")
        case Kind.CHECKPOINT:
            if not isinstance(value, str):
                yield FieldError(at, "It must be the name of a model.")
            else:
                yield from _model(value, at)
        case Kind.SIZE:
            yield from _size(parameter, value, at)
        case Kind.LORA:
            yield from _loras(parameter, value, at)


def bounds_of_seed(parameter: Parameter) -> tuple[int, int]:
    """What may be drawn."""
    least = 0 if parameter.min is None else int(parameter.min)
    return least, MAX_SEED if parameter.max is None else int(parameter.max)


def longest(parameter: Parameter) -> int:
    """Of a text, in characters; of a chain, in LoRAs."""
    most = {Kind.TEXT: MAX_TEXT, Kind.STRING: MAX_LINE, Kind.LORA: MAX_LORAS}[parameter.type]
    return most if parameter.max is None else min(most, int(parameter.max))


def _faults(form: Form, values: Mapping[str, Any]) -> Iterator[FieldError]:
    known = {each.name for each in form.parameters}
    for name in values:
        if name not in known:
            yield FieldError(name, "The template has no such parameter.")
    for each in form.parameters:
        if each.name in values:
            yield from why_not(each, values[each.name], each.name)
        elif each.required:
            yield FieldError(each.name, "It is missing.")


def _number(parameter: Parameter, value: Any, at: str) -> Iterator[FieldError]:
    whole = parameter.type is Kind.INT
    if type(value) is not int and (whole or type(value) is not float):
        yield FieldError(at, "It must be a whole number." if whole else "It must be a number.")
    elif (fault := unusable(value)) is not None:
        yield FieldError(at, fault)
    else:
        yield from _bounded(parameter, value, at)


def _bounded(parameter: Parameter, value: float, at: str) -> Iterator[FieldError]:
    if parameter.min is not None and value < parameter.min:
        yield FieldError(at, f"It must be at least {parameter.min}.")
    elif parameter.max is not None and value > parameter.max:
        yield FieldError(at, f"It must be at most {parameter.max}.")
    elif parameter.step is not None and not _on_step(value, parameter.min or 0, parameter.step):
        counted = f" counted from {parameter.min}" if parameter.min else ""
        yield FieldError(at, f"It must go by steps of {parameter.step}{counted}.")


def _on_step(value: float, least: float, step: float) -> bool:
    if all(isinstance(each, int) for each in (value, least, step)):
        return (value - least) % step == 0
    steps = (value - least) / step
    return math.isclose(steps, round(steps), rel_tol=1e-9, abs_tol=1e-6)


def _text(parameter: Parameter, value: Any, at: str) -> Iterator[FieldError]:
    if not isinstance(value, str):
        yield FieldError(at, "It must be a text.")
    elif len(value) > longest(parameter):
        yield FieldError(at, f"It may have {longest(parameter)} characters at most.")
    elif parameter.min is not None and len(value) < parameter.min:
        yield FieldError(at, f"It must have {int(parameter.min)} characters at least.")
    elif parameter.type is Kind.STRING and not value.isprintable():
        yield FieldError(at, "It must be one line, without control characters.")


def _model(name: str, at: str) -> Iterator[FieldError]:
    if not 1 <= len(name) <= MAX_MODEL:
        yield FieldError(at, f"It must have 1 to {MAX_MODEL} characters.")
    elif not name.isprintable() or ".." in name or name.startswith(("/", "\\")):
        yield FieldError(at, "It must be the name of a model, without control characters or `..`.")


def _size(parameter: Parameter, value: Any, at: str) -> Iterator[FieldError]:
    if not isinstance(value, dict) or value.keys() != set(Part):
        yield FieldError(at, "It must be an object of `width` and `height`.")
        return
    for part in Part:
        side = value[part]
        if type(side) is not int or side < 1:
            yield FieldError(f"{at}.{part}", "It must be a whole number of pixels.")
        elif (fault := unusable(side)) is not None:
            yield FieldError(f"{at}.{part}", fault)
        else:
            yield from _bounded(parameter, side, f"{at}.{part}")


def _loras(parameter: Parameter, value: Any, at: str) -> Iterator[FieldError]:
    if not isinstance(value, list | tuple):
        yield FieldError(at, "It must be a list of LoRAs.")
        return
    if len(value) > longest(parameter):
        yield FieldError(at, f"It may have {longest(parameter)} LoRAs at most.")
    elif parameter.min is not None and len(value) < parameter.min:
        yield FieldError(at, f"It must have {int(parameter.min)} LoRAs at least.")
    for place, each in enumerate(value[: MAX_LORAS + 1]):
        if found := faults(each, ChainedLora, f"{at}[{place}]"):
            yield from found
        else:
            lora = msgspec.convert(each, ChainedLora)
            yield from _model(lora.name, f"{at}[{place}].name")


def _listed(choices: tuple[Any, ...]) -> str:
    shown = [str(each) for each in choices[:30]]
    return ", ".join(shown if len(choices) <= 30 else [*shown, "..."])
