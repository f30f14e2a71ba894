"""The gate: which graphs are let through to a backend, as administrators say."""

from collections.abc import Mapping
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.reasons import stated
from domain.refusals import FieldError, Invalid

GATE_ID = UUID("7c0e6d1b-52c1-5d0f-9f0b-3f1a8d2e6b57")
"""The stream of what administrators decide about the gate: there is one."""


class GateRules(Struct, frozen=True, kw_only=True):
    """Beside ComfyUI's own nodes, those in `allowed` are let through; none in `denied` is, whosever it is.

    `nodes`: of one graph. `side`: of a picture, in pixels. `pixels`: of all pictures that one node makes. `batch`.
    """

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    nodes: int = 1_000
    side: int = 16_384
    pixels: int = 256 * 1024 * 1024
    batch: int = 64


class GateSet(Event, frozen=True, kw_only=True, tag="gate.set.v1"):
    """The whole of the rules from now on."""

    rules: GateRules
    reason: str


GateEvent: TypeAlias = GateSet

MAX_NAMES, MAX_NAME = 1_000, 200
MAX_NAMES_BYTES = 20 * 1024  # of each list: keeps the event under 64 KiB
BOUNDS = {"nodes": 5_000, "side": 1 << 20, "pixels": 1 << 40, "batch": 100_000}


class Gate(Struct, frozen=True):
    rules: GateRules = GateRules()


def evolve(gate: Gate, event: GateEvent) -> Gate:
    match event:
        case GateSet(rules=rules):
            return Gate(rules)


GATE: Decider[Gate, GateEvent] = Decider("gate", Gate(), evolve, lambda gate: None)


def set_rules(gate: Gate, *, rules: GateRules, reason: str) -> list[GateEvent]:
    """Say anew what is let through."""
    given = stated(reason)
    errors = [*_names("allowed", rules.allowed), *_names("denied", rules.denied)]
    both = sorted(set(rules.allowed) & set(rules.denied))
    if both:
        errors.append(FieldError("denied", f"Allowed as well: {', '.join(both[:5])[:500]}."))
    for field, most in BOUNDS.items():
        if not 1 <= getattr(rules, field) <= most:
            errors.append(FieldError(field, f"It must be 1 to {most}."))
    if errors:
        raise Invalid("The rules cannot be used.", *errors)
    wanted = GateRules(
        allowed=tuple(sorted(set(rules.allowed))),
        denied=tuple(sorted(set(rules.denied))),
        nodes=rules.nodes,
        side=rules.side,
        pixels=rules.pixels,
        batch=rules.batch,
    )
    return [] if gate.rules == wanted else [GateSet(rules=wanted, reason=given)]


def change_rules(
    gate: Gate,
    *,
    allow: tuple[str, ...] = (),
    deny: tuple[str, ...] = (),
    forget: tuple[str, ...] = (),
    limits: Mapping[str, int] | None = None,
    reason: str,
) -> list[GateEvent]:
    """Say anew what is let through of these node classes only; the others stay as they are.

    What is allowed is denied no more, and the other way round; what is forgotten is neither.
    """
    named = {*allow, *deny, *forget}
    rules = replace(
        gate.rules,
        allowed=(*(name for name in gate.rules.allowed if name not in named), *allow),
        denied=(*(name for name in gate.rules.denied if name not in named), *deny),
        **(limits or {}),
    )
    return set_rules(gate, rules=rules, reason=reason)


def _names(field: str, names: tuple[str, ...]) -> list[FieldError]:
    if len(names) > MAX_NAMES or sum(len(name.encode()) for name in names) > MAX_NAMES_BYTES:
        return [FieldError(field, f"At most {MAX_NAMES} names, and {MAX_NAMES_BYTES} bytes.")]
    return [
        FieldError(f"{field}.{place}", f"The name of a node class has 1 to {MAX_NAME} printable characters.")
        for place, name in enumerate(names)
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable()
    ]
