"""What is wrong with a template: a form that contradicts itself, or its graph."""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.refusals import FieldError, Invalid
from workflows.chance import chance, possible
from workflows.filling import CHAINED, LORA_INPUT
from workflows.forms import Binding, Form, Kind, Parameter, Part, Template
from workflows.graph import is_link, read_graph, unusable
from workflows.inputs import PICTURE_LOADERS
from workflows.loras import references
from workflows.parameters import MAX_SEED
from workflows.values import NUMBERS, TEXTS, checked, defaults, longest, why_not

BOUNDED = (*NUMBERS, *TEXTS, Kind.SIZE, Kind.SEED, Kind.LORA)
STEPPED = (*NUMBERS, Kind.SIZE)


def check(template: Template) -> None:
    """Raises Invalid with every fault, by its path: `graph.3.inputs.x`, `form.parameters[0].default`."""
    try:
        read_graph(template.graph)
    except Invalid as refusal:
        raise Invalid("The graph of the template cannot be run.", *refusal.errors) from refusal
    if found := (*_faults(template.form, template.graph),):
        raise Invalid("The form does not fit.", *found)


def _faults(form: Form, graph: dict[str, Any]) -> Iterator[FieldError]:
    yield from _texts(form, "form", "name")
    names = [each.name for each in form.parameters]
    taken: dict[tuple[str, str], str] = {}
    sound = True
    for place, each in enumerate(form.parameters):
        at = f"form.parameters[{place}]"
        if each.name in names[:place]:
            yield FieldError(f"{at}.name", f"There are two parameters called {each.name}.")
        yield from _texts(each, at, "label", "group")
        for fault in _of_one(each, at):
            sound = False
            yield fault
        for number, bind in enumerate(each.binds):
            yield from _bound(each, bind, graph, taken, f"{at}.binds[{number}]")
        if each.type is Kind.SIZE and {bind.part for bind in each.binds} != set(Part):
            yield FieldError(f"{at}.binds", "Both the width and the height of a size are to be bound.")
    if (fault_of := unusable(form.example)) is not None:
        yield FieldError("form.example", fault_of)
    elif form.example and sound:
        yield from _of_example(form)
    if sound:
        yield from _of_chance(form, defaults(form), "form.defaults")


def _texts(described: Form | Parameter, at: str, *lines: str) -> Iterator[FieldError]:
    """Control characters show nothing, but for those between the lines of a description."""
    for line in lines:
        if not getattr(described, line).isprintable():
            yield FieldError(f"{at}.{line}", "It holds control characters.")
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in described.description):
        yield FieldError(f"{at}.description", "It holds control characters.")


def _of_one(each: Parameter, at: str) -> Iterator[FieldError]:
    kind = each.type
    for name in ("min", "max"):
        bound = getattr(each, name)
        if bound is None:
            continue
        if kind not in BOUNDED:
            yield FieldError(f"{at}.{name}", f"A {kind} has no bounds.")
        elif unusable(bound) is not None or (kind is not Kind.FLOAT and not isinstance(bound, int)):
            yield FieldError(f"{at}.{name}", f"This cannot be a bound of a {kind}.")
        elif kind in (*TEXTS, Kind.LORA, Kind.SIZE, Kind.SEED) and not 0 <= bound <= MAX_SEED:
            yield FieldError(f"{at}.{name}", "It must not be negative.")
    if each.step is not None:
        if kind not in STEPPED:
            yield FieldError(f"{at}.step", f"A {kind} has no steps.")
        elif each.step <= 0 or (kind is not Kind.FLOAT and not isinstance(each.step, int)):
            yield FieldError(f"{at}.step", f"This cannot be the step of a {kind}.")
    if each.min is not None and each.max is not None and each.min > each.max:
        yield FieldError(f"{at}.max", "It is less than `min`.")
    elif kind in (*TEXTS, Kind.LORA) and each.min is not None and each.min > longest(each):
        yield FieldError(f"{at}.min", f"No more than {longest(each)} are possible.")
    if (kind is Kind.CHOICE) != bool(each.choices):
        yield FieldError(f"{at}.choices", "A choice has some; nothing else has any.")
    elif len({(type(choice), choice) for choice in each.choices}) < len(each.choices):
        yield FieldError(f"{at}.choices", "One of them is there twice.")
    elif any(unusable(choice) is not None for choice in each.choices):
        yield FieldError(f"{at}.choices", "One of them is too large.")
    if each.wildcards and kind not in TEXTS:
        yield FieldError(f"{at}.wildcards", "Only texts are left to chance.")
    yield from _of_default(each, at)


def _of_default(each: Parameter, at: str) -> Iterator[FieldError]:
    if each.required:
        return
    if each.type in (Kind.IMAGE, Kind.MASK):
        yield FieldError(f"{at}.default", f"Nobody but its owner may load an input: a {each.type} has none.")
    elif (fault := unusable(each.default)) is not None:
        yield FieldError(f"{at}.default", fault)
    elif each.step is None or each.step > 0:
        yield from why_not(each, each.default, f"{at}.default")


def _bound(
    each: Parameter, bind: Binding, graph: dict[str, Any], taken: dict[tuple[str, str], str], at: str
) -> Iterator[FieldError]:
    if bind.node not in graph:
        yield FieldError(f"{at}.node", f"The graph has no node {bind.node}.")
        return
    node = graph[bind.node]
    if bind.input not in node["inputs"]:
        yield FieldError(f"{at}.input", f"The node {node['class_type']} has no input {bind.input} here.")
        return
    if is_link(node["inputs"][bind.input]):
        yield FieldError(f"{at}.input", "Another node feeds this input: it takes no value.")
    place = (bind.node, bind.input)
    if place in taken:
        yield FieldError(at, f"It is bound to {taken[place]} already.")
    taken.setdefault(place, each.name)
    if (bind.part is not None) != (each.type is Kind.SIZE):
        yield FieldError(f"{at}.part", "A size is bound by its parts; nothing else has any.")
    yield from _of_loader(each, bind, node, at)


def _of_loader(each: Parameter, bind: Binding, node: dict[str, Any], at: str) -> Iterator[FieldError]:
    """Pictures and LoRAs are looked for at the inputs that load them; there nothing else may stand."""
    loads = PICTURE_LOADERS.get(node["class_type"]) == bind.input
    if loads != (each.type in (Kind.IMAGE, Kind.MASK)):
        known = " or ".join(f"{name}.{input}" for name, input in PICTURE_LOADERS.items())
        yield FieldError(at, f"An image or a mask is bound to {known}, and nothing else is.")
    if each.type is Kind.LORA:
        through = CHAINED.get(node["class_type"])
        if through is None or bind.input != LORA_INPUT:
            known = " or ".join(CHAINED)
            yield FieldError(at, f"A chain of LoRAs is bound to the input {LORA_INPUT} of {known}.")
        elif not all(is_link(node["inputs"].get(name)) for name in through):
            yield FieldError(at, f"{' and '.join(through)} of this loader must come from another node.")
    elif references({bind.node: {"inputs": {bind.input: "any"}}}):
        yield FieldError(at, "This input names a LoRA: its parameter must be of the type lora.")


def _of_chance(form: Form, values: Mapping[str, Any], at: str) -> Iterator[FieldError]:
    try:
        possible(form, values, chance(form, None), form.lists)
    except Invalid as refusal:
        for error in refusal.errors:
            yield FieldError(f"{at}.{error.field}", error.reason)


def _of_example(form: Form) -> Iterator[FieldError]:
    """Pictures are everybody's own, and may be left out of it."""
    own = [*form.of_kind(Kind.IMAGE), *form.of_kind(Kind.MASK)]
    example = {each.name: "0" * 64 for each in own} | form.example
    try:
        checked(form, example)
    except Invalid as refusal:
        for error in refusal.errors:
            yield FieldError(f"form.example.{error.field}", error.reason)
    else:
        yield from _of_chance(form, example, "form.example")
