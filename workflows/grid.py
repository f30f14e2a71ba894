"""A grid: lists of values for some parameters, and a run for each combination of them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, TypeAlias

from msgspec import Struct

from domain.batch import MAX_RUNS
from domain.refusals import FieldError, Invalid
from workflows.parameters import NOT_POSSIBLE
from workflows.reading import MAX_ERRORS
from workflows.wanted import Wanted, changed, names

Axes: TypeAlias = Mapping[str, Sequence[Any]]

MAX_AXES = 4


class Variation(Struct, frozen=True):
    """One run of a batch: which values it has that others have not, and what is wanted with them."""

    values: dict[str, Any]
    wanted: Wanted


def combinations(wanted: Wanted, vary: Axes) -> list[Variation]:
    """In the order of the lists, the last one changing first. Raises Invalid with every error."""
    if errors := [*_form(names(wanted), vary)]:
        raise Invalid("This grid cannot be run.", *errors[:MAX_ERRORS])
    if errors := [*_values(wanted, vary)]:
        raise Invalid(NOT_POSSIBLE, *errors[:MAX_ERRORS])
    variations = []
    for chosen in product(*vary.values()):
        values = dict(zip(vary, chosen, strict=True))
        variations.append(Variation(values, changed(wanted, values)))
    return variations


def _form(known: Sequence[str], vary: Axes) -> Iterator[FieldError]:
    if not 1 <= len(vary) <= MAX_AXES:
        yield FieldError("vary", f"It must name 1 to {MAX_AXES} parameters.")
        return
    for name, values in vary.items():
        if name not in known:
            yield FieldError(f"vary.{name}", "There is no such parameter.")
        elif not values:
            yield FieldError(f"vary.{name}", "The list of values is empty.")
    count = prod(map(len, vary.values()))
    if count > MAX_RUNS:
        yield FieldError("vary", f"These are {count} combinations; {MAX_RUNS} are allowed.")


def _values(wanted: Wanted, vary: Axes) -> Iterator[FieldError]:
    """Each value by itself: which one is wrong is told once, not in each combination."""
    for name, values in vary.items():
        for place, value in enumerate(values):
            try:
                changed(wanted, {name: value})
            except Invalid as refusal:
                for error in refusal.errors:
                    if error.field == name or error.field.startswith((f"{name}.", f"{name}[")):
                        below = error.field.removeprefix(name)
                        yield FieldError(f"vary.{name}[{place}]{below}", error.reason)
