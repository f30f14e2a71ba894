"""What a preset holds, and how it is laid under the values of a run."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from domain.refusals import FieldError
from workflows.forms import Form, Kind, Name, NamedLists, Parameter
from workflows.graph import unusable
from workflows.values import TEXTS, ChainedLora, why_not

MAX_VALUES = 100
MAX_LORAS = 20
JOINED = ", "

Words: TypeAlias = Annotated[str, Meta(max_length=5_000)]


class Addition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is said before and after a text, whatever the text is."""

    before: Words = ""
    after: Words = ""


class PresetValues(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`values` hold where a run gives none. `additions`: by the name of a text. `loras` go before a run's own."""

    values: Annotated[dict[Name, Any], Meta(max_length=MAX_VALUES, examples=[{"steps": 30}])] = {}
    additions: Annotated[
        dict[Name, Addition],
        Meta(max_length=MAX_VALUES, examples=[{"prompt": {"before": "milan, a tall man"}}]),
    ] = {}
    loras: Annotated[
        tuple[ChainedLora, ...], Meta(max_length=MAX_LORAS, examples=[[{"name": "milan.safetensors"}]])
    ] = ()
    lists: NamedLists = {}


def laid_under(preset: PresetValues, form: Form, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a run. What a preset has for parameters that this form has not stays out of it."""
    values = {name: value for name, value in preset.values.items() if form.named(name)} | dict(given)
    for name, addition in preset.additions.items():
        parameter = form.named(name)
        if parameter is not None and parameter.type in TEXTS:
            text = values.get(name, "" if parameter.required else parameter.default)
            if isinstance(text, str):  # else it is told that it is none
                said = (part for part in (addition.before, text, addition.after) if part)
                values[name] = JOINED.join(said)
    chain = next(iter(form.of_kind(Kind.LORA)), None)
    if preset.loras and chain is not None:
        own = values.get(chain.name, () if chain.required else chain.default)
        if isinstance(own, list | tuple):
            values[chain.name] = [*msgspec.to_builtins(list(preset.loras)), *own]
    return values


def faults(preset: PresetValues, form: Form | None) -> Iterator[FieldError]:
    """What can be said of it without a run; all that does not fit the form, where it is for that one alone."""
    for name, value in preset.values.items():
        if (fault := unusable(value)) is not None:
            yield FieldError(f"values.{name}", fault)
        elif form is not None:
            yield from _of_value(form.named(name), name, value)
    if form is None:
        return
    for name in preset.additions:
        parameter = form.named(name)
        if parameter is None or parameter.type not in TEXTS:
            yield FieldError(f"additions.{name}", "The template has no such text.")
    if preset.loras and not form.of_kind(Kind.LORA):
        yield FieldError("loras", "The template takes no LoRAs.")


def _of_value(parameter: Parameter | None, name: str, value: Any) -> Iterator[FieldError]:
    if parameter is None:
        yield FieldError(f"values.{name}", "The template has no such parameter.")
    else:
        yield from why_not(parameter, value, f"values.{name}")
