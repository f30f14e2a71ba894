"""What a picture is wanted from: typed parameters, or a template with values. Either is varied, seeded and built."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from workflows import filling, parameters
from workflows.builder import build
from workflows.forms import Kind, Template
from workflows.parameters import RANDOM, Parameters
from workflows.values import bounds_of_seed, checked


class OfTemplate(Struct, frozen=True):
    """`values`: of every parameter, checked. `id`: of the template."""

    id: str
    template: Template
    values: dict[str, Any]


class Values(Struct, frozen=True):
    """The document that is kept of it beside the log."""

    values: dict[str, Any]


Wanted: TypeAlias = Parameters | OfTemplate


class Built(Struct, frozen=True):
    """`fields`: the names of values by the paths in the graph where they stand, where a form knows them."""

    graph: dict[str, Any]
    fields: dict[str, str] = {}


def names(wanted: Wanted) -> Sequence[str]:
    """Of everything that can be given or varied."""
    match wanted:
        case Parameters():
            return parameters.NAMES
        case OfTemplate(template=template):
            return tuple(each.name for each in template.form.parameters)


def changed(wanted: Wanted, changes: Mapping[str, Any]) -> Wanted:
    """The same with other values. Raises Invalid."""
    match wanted:
        case Parameters():
            return parameters.changed(wanted, changes)
        case OfTemplate(template=template):
            return replace(wanted, values=checked(template.form, wanted.values | dict(changes)))


def with_seed(wanted: Wanted, seed: int) -> Wanted | None:
    """The same with another seed; None: it has none. Raises Invalid."""
    match wanted:
        case Parameters():
            return parameters.changed(wanted, {"seed": seed})
        case OfTemplate(template=template):
            seeds = {each.name: seed for each in template.form.of_kind(Kind.SEED)}
            return changed(wanted, seeds) if seeds else None


def seeded(wanted: Wanted, draw: Callable[[], int]) -> Wanted:
    """With seeds drawn where they had to be; several that are left to chance are drawn as one."""
    match wanted:
        case Parameters():
            return parameters.seeded(wanted, draw())
        case OfTemplate(template=template, values=values):
            drawn = draw()
            found = {}
            for each in template.form.of_kind(Kind.SEED):
                if values[each.name] == RANDOM:
                    least, most = bounds_of_seed(each)
                    found[each.name] = least + drawn % (most - least + 1)
            return replace(wanted, values=values | found)


def seed_of(wanted: Wanted) -> int | None:
    """The first of them, where it has one."""
    match wanted:
        case Parameters():
            return wanted.seed
        case OfTemplate(template=template, values=values):
            return next((int(values[each.name]) for each in template.form.of_kind(Kind.SEED)), None)


def built(wanted: Wanted) -> Built:
    """Its graph. Pictures stand in it as they were given: whoever submits it resolves them."""
    match wanted:
        case Parameters():
            return Built(build(wanted))
        case OfTemplate(template=template, values=values):
            filled = filling.fill(template, values)
            return Built(filled.graph, filled.fields)


def document(wanted: Wanted) -> bytes:
    """What is kept of it beside the log."""
    match wanted:
        case Parameters():
            return msgspec.json.encode(wanted)
        case OfTemplate(values=values):
            return msgspec.json.encode(Values(values))


def masked(wanted: Wanted) -> bool:
    """Whether it changes a part of a picture."""
    match wanted:
        case Parameters():
            return wanted.image is not None and wanted.mask is not None
        case OfTemplate(template=template):
            return template.form.requires_image and template.form.requires_mask
