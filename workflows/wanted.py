"""What a picture is wanted from: typed parameters, or a template with values. Either is varied, seeded and built."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from workflows import filling, parameters
from workflows.builder import build, fields
from workflows.chance import possible, texts, used
from workflows.forms import Kind, Template
from workflows.parameters import RANDOM, Parameters
from workflows.values import bounds_of_seed, checked

MAX_WORDS = 400  # characters: the values themselves stand beside the log


class PresetUse(Struct, frozen=True):
    """Which preset was laid under the values, and the digest of what it held."""

    id: str
    version: str


class OfTemplate(Struct, frozen=True, kw_only=True):
    """`values`: of every parameter, checked. `id`: of the template.

    `wildcards`: the names of texts that are left to chance. `lists`: what they may choose from. `draw`: what chance
    follows from where the form has no seed.
    """

    id: str
    template: Template
    values: dict[str, Any]
    wildcards: tuple[str, ...] = ()
    lists: dict[str, tuple[str, ...]] = {}
    draw: int | None = None
    preset: PresetUse | None = None


class Values(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The document that is kept of it beside the log. `texts`: what chance has made of some values."""

    values: dict[str, Any]
    texts: dict[str, str] = {}
    wildcards: tuple[str, ...] = ()
    lists: dict[str, tuple[str, ...]] = {}
    draw: int | None = None
    preset: PresetUse | None = None


Wanted: TypeAlias = Parameters | OfTemplate


class Built(Struct, frozen=True):
    """`fields`: the names of values by the paths in the graph where they stand."""

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
            values = checked(template.form, wanted.values | dict(changes))
            possible(template.form, values, wanted.wildcards, wanted.lists)
            return replace(wanted, values=values)


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
            chosen = drawn if wanted.wildcards and wanted.draw is None else wanted.draw
            return replace(wanted, values=values | found, draw=chosen)


def seed_of(wanted: Wanted) -> int | None:
    """The first of them, where it has one."""
    match wanted:
        case Parameters():
            return wanted.seed
        case OfTemplate(template=template, values=values):
            return next((int(values[each.name]) for each in template.form.of_kind(Kind.SEED)), None)


def words(wanted: Wanted) -> str:
    """The beginning of what it says in words, on one line: to find a run again by."""
    match wanted:
        case Parameters():
            said = [wanted.prompt, wanted.negative_prompt]
        case OfTemplate(template=template, values=values):
            told = values | _texts(wanted)
            kinds = (Kind.TEXT, Kind.STRING)
            said = [str(told[each.name]) for kind in kinds for each in template.form.of_kind(kind)]
    return " ".join(" ".join(said).split())[:MAX_WORDS].rstrip()


def built(wanted: Wanted) -> Built:
    """Its graph. Pictures stand in it as they were given: whoever submits it resolves them."""
    match wanted:
        case Parameters():
            graph = build(wanted)
            return Built(graph, fields(graph))
        case OfTemplate(template=template, values=values):
            filled = filling.fill(template, values | _texts(wanted))
            return Built(filled.graph, filled.fields)


def document(wanted: Wanted) -> bytes:
    """What is kept of it beside the log."""
    match wanted:
        case Parameters():
            return msgspec.json.encode(wanted)
        case OfTemplate(values=values, wildcards=names, lists=lists):
            kept = Values(
                values=values,
                texts=_texts(wanted),
                wildcards=names,
                lists=used(values, names, lists),
                draw=wanted.draw if seed_of(wanted) is None else None,
                preset=wanted.preset,
            )
            return msgspec.json.encode(kept)


def _texts(wanted: OfTemplate) -> dict[str, str]:
    """What chance makes of its texts, once its seeds are drawn."""
    seed = seed_of(wanted)
    drawn = wanted.draw if seed is None else seed
    return texts(wanted.values, wanted.wildcards, wanted.lists, 0 if drawn is None else drawn)


def masked(wanted: Wanted) -> bool:
    """Whether it changes a part of a picture."""
    match wanted:
        case Parameters():
            return wanted.image is not None and wanted.mask is not None
        case OfTemplate(template=template):
            return template.form.requires_image and template.form.requires_mask
