"""Letting a graph through to the backends, or saying why not: all that is wrong with it at once."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from commands.known_backends import Known, Surroundings, loaders
from commands.known_models import Looked, look
from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context
from domain import gate
from domain.backend import own_name
from domain.gate import GATE, GATE_ID, GateRules
from domain.ids import AccountId
from domain.refusals import FieldError, Invalid
from domain.workflow import Content, Requirements
from workflows.gate import Refusal, let_through, vet
from workflows.graph import Graph, Node, requirements
from workflows.inventory import Inventory, Missing, missing, uploaded
from workflows.model_inputs import Loaders
from workflows.models import NamedModel, named_models

REFUSED = "The graph is not let through."
UNTOLD = "It has not told that it takes uploaded LoRAs."
TAKES_NONE = "It takes no uploaded LoRAs."
NO_LORAS = "No backend that is here takes uploaded LoRAs."
NOBODY = "No backend that is here could ever run this graph."

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class SetGate(Command, frozen=True, kw_only=True):
    """Whether the one who asks may do so is known by the caller."""

    rules: GateRules
    reason: str


class ChangeGate(Command, frozen=True, kw_only=True):
    """Only what is named; the rest of the rules stays. `limits`: those of GateRules, by name."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    limits: dict[str, int] = msgspec.field(default_factory=dict)
    reason: str


async def set_gate(command: SetGate, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, KeyReused."""

    def decide(state: gate.Gate) -> list[gate.GateEvent]:
        return gate.set_rules(state, rules=command.rules, reason=command.reason)

    return await _decided(decide, context, needs)


async def change_gate(command: ChangeGate, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, KeyReused."""

    def decide(state: gate.Gate) -> list[gate.GateEvent]:
        return gate.change_rules(
            state,
            allow=command.allow,
            deny=command.deny,
            forget=command.forget,
            limits=command.limits,
            reason=command.reason,
        )

    return await _decided(decide, context, needs)


class Fit(Struct, frozen=True):
    """One of the backends that an account's runs may go to. `lacks`: None while it has not told what it has.

    `reason`: why it is not given such a run; empty: it could be.
    """

    backend: Known
    lacks: Missing | None
    reason: str


class Judged(Struct, frozen=True):
    """`refusal`: why a run of the graph is not taken, with `errors`; empty: it is, though it may have to wait.

    `needed`: by the graph, with `loaders`: what backends tell of nodes that nobody here knows. `restricted`: it names
    models that are not for everybody.
    """

    refusal: str
    errors: tuple[FieldError, ...]
    fits: tuple[Fit, ...]
    needed: Requirements
    loaders: Loaders
    restricted: bool


async def admit(graph: Content, owner: AccountId, pool: str, needs: Needs) -> Requirements:
    """What it needs. Raises Invalid: the graph is not let through, or no live backend of the pool could ever run it."""
    view = await needs.backends.now()
    if (before := needs.backends.passed(graph.digest, owner, pool, view)) is not None:
        return before
    judged = await judge(graph, owner, pool, view, needs)
    if judged.refusal:
        raise Invalid(judged.refusal, *judged.errors)
    if not judged.restricted:  # whose role changes must not go on with what was let through before
        needs.backends.remember(graph.digest, owner, pool, view, judged.needed)
    return judged.needed


async def judge(graph: Content, owner: AccountId, pool: str, view: Surroundings, needs: Needs) -> Judged:
    """With no backend alive it waits; so it does for one that takes uploaded LoRAs, where that is away.

    A model that this account may not use is told from one that no backend has by nothing; in its own pool everything
    is its own. Raises Invalid where there is no such graph.
    """
    known = [each for each in view.backends if each.serves(owner)]
    backends = [each for each in known if each.serves(owner, pool)]
    body = await needs.contents.get(graph.digest)
    if body is None:
        raise Invalid("The graph is not there any more.")
    nodes = {id: Node(node["class_type"], node["inputs"]) for id, node in _decode(body).items()}
    own = pool == own_name(owner) and all(each.state.owner == owner for each in backends)
    told = loaders(backends) if own else view.loaders
    needed = requirements(nodes, told)
    looked = Looked() if own else await look(nodes, owner, view, needs)
    fits = tuple(_fit(each, needed, view.rules, looked.withheld) for each in backends)
    if refusals := vet(nodes, owner=owner, rules=view.rules, modules=modules(known)):
        return Judged(REFUSED, tuple(map(_field_error, refusals)), fits, needed, told, looked.restricted)
    live = [each.lacks for each in fits if each.backend.state.live]
    lacking = [each for each in live if each is not None]
    nowhere = len(lacking) == len(live) and bool(lacking) and all(lacking)
    least = min(lacking, key=lambda each: len(each.node_classes) + len(each.models), default=Missing())
    waits = _only_loras(least) and _brought_by_others(backends, needed, view.rules)
    if looked.withheld or (nowhere and not waits):
        errors = tuple(_named(least, looked.withheld, nodes, told))
        return Judged(NOBODY, errors, fits, needed, told, looked.restricted)
    return Judged("", (), fits, needed, told, looked.restricted)


def refuses(known: Known, requirements: Requirements, rules: GateRules) -> str:
    """Why a backend is not given a run with these requirements; empty: it could be."""
    return _fit(known, requirements, rules, ()).reason


def modules(backends: Iterable[Known]) -> dict[str, str]:
    """Where each node class comes from, as shared backends say; an account's own does not speak for others."""
    return {
        name: module
        for each in sorted(backends, key=lambda each: each.state.owner is None)
        if each.inventory is not None
        for name, module in each.inventory.node_classes.items()
    }


def _fit(known: Known, requirements: Requirements, rules: GateRules, withheld: Collection[NamedModel]) -> Fit:
    lacks = None
    if known.inventory is not None:
        lacks = _without(_lacking(known.inventory, requirements, rules), withheld)
    return Fit(known, lacks, _reason(known, requirements, lacks))


def _reason(known: Known, requirements: Requirements, lacks: Missing | None) -> str:
    if not known.state.live:
        return "It is not there."
    if known.state.draining:
        return "It is drained."
    if lacks is None:
        return UNTOLD if any(map(uploaded, requirements.models)) else ""
    models = [name for name in lacks.models if not uploaded(name)]
    names = [*(f"the node {name}" for name in lacks.node_classes), *models]
    said = [f"It lacks {', '.join(names[:10])}."] if names else []
    return " ".join([*said, TAKES_NONE] if len(models) < len(lacks.models) else said)


async def _decided(
    decide: Callable[[gate.Gate], list[gate.GateEvent]], context: Context, needs: Needs
) -> Accepted:
    accepted = await needs.streams.transact(context, Change(GATE, GATE_ID, decide))
    needs.backends.look_again()
    return accepted


def _lacking(inventory: Inventory, requirements: Requirements, rules: GateRules) -> Missing:
    """What it has not, or must not use."""
    found = missing(inventory, requirements)
    closed = [
        name
        for name in requirements.node_classes
        if name in inventory.node_classes and not let_through(name, inventory.node_classes[name], rules)
    ]
    return Missing((*found.node_classes, *closed), found.models)


def _only_loras(lacking: Missing) -> bool:
    return not lacking.node_classes and all(map(uploaded, lacking.models))


def _brought_by_others(backends: Iterable[Known], requirements: Requirements, rules: GateRules) -> bool:
    """Whether one that is away would have all that is needed."""
    away = [each.inventory for each in backends if not each.state.live and each.inventory is not None]
    return not all(_lacking(each, requirements, rules) for each in away)


def _field_error(refusal: Refusal) -> FieldError:
    path = f"graph.{refusal.node}" if refusal.node else "graph"
    return FieldError(f"{path}.inputs.{refusal.input}" if refusal.input else path, refusal.reason)


def _without(lacking: Missing, withheld: Iterable[NamedModel]) -> Missing:
    """As if it had not what is withheld."""
    names = {each.requirement for each in withheld if each.requirement}
    return Missing(lacking.node_classes, tuple(sorted({*lacking.models, *names}))) if names else lacking


def _named(
    lacking: Missing, withheld: Collection[NamedModel], nodes: Graph, loaders: Loaders
) -> list[FieldError]:
    """At the nodes that need it."""
    errors = [
        FieldError(f"graph.{id}", f"The node {node.class_type} is on no backend.")
        for id, node in nodes.items()
        if node.class_type in lacking.node_classes
    ]
    for each in named_models(nodes, loaders):
        if each in withheld or each.requirement in lacking.models:
            reason = (
                NO_LORAS if uploaded(each.requirement) else f"The model {each.name[:200]} is on no backend."
            )
            errors.append(FieldError(f"graph.{each.node}.inputs.{each.input}", reason))
    return errors[:50]
