"""Which texts of a run are left to chance, and what becomes of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.refusals import FieldError, Invalid
from workflows import wildcards
from workflows.forms import Form, Kind
from workflows.parameters import NOT_POSSIBLE
from workflows.values import longest
from workflows.wildcards import Lists, WildcardError


def chance(form: Form, wanted: bool | None) -> tuple[str, ...]:
    """The names of those texts: as the form has it (None), those and every one of many lines, or none."""
    if wanted is False:
        return ()
    return tuple(
        each.name for each in form.parameters if each.wildcards or (wanted and each.type is Kind.TEXT)
    )


def possible(form: Form, values: Mapping[str, Any], names: Iterable[str], lists: Lists) -> None:
    """Raises Invalid: a text cannot be resolved, or could become too long."""
    errors = []
    for name in names:
        parameter = form.named(name)
        if parameter is None or name not in values:
            continue
        try:
            if wildcards.longest(values[name], lists) > (most := longest(parameter)):
                errors.append(FieldError(name, f"It could become longer than {most} characters."))
        except WildcardError as error:
            errors.append(FieldError(name, str(error)))
    if errors:
        raise Invalid(NOT_POSSIBLE, *errors)


def texts(values: Mapping[str, Any], names: Iterable[str], lists: Lists, seed: int) -> dict[str, str]:
    """What is said in their place; those that stay as they are left out."""
    said = {name: wildcards.resolved(values[name], lists, seed, name) for name in names}
    return {name: text for name, text in said.items() if text != values[name]}


def used(values: Mapping[str, Any], names: Iterable[str], lists: Lists) -> dict[str, tuple[str, ...]]:
    """The lists that are named in those texts."""
    found: set[str] = set()
    for name in names:
        found |= wildcards.named(wildcards.parse(values[name], lists))
    return {name: tuple(lists[name]) for name in sorted(found)}
