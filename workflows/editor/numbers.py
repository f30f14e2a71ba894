"""How the editor rounds a number that somebody, or another node, puts into a widget."""

import math
from typing import Any

from msgspec.structs import replace

from workflows.definitions import InputDefinition

MAX_STEPS = 1_000


def rounded(value: Any, declared: InputDefinition | None) -> Any:
    if declared is None or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    match declared.type:
        case "INT":
            found = _whole(value, declared)
            return int(found) if found == int(found) else found
        case "FLOAT":
            return _fraction(value, declared)
        case _:
            return value


def merged(one: InputDefinition, other: InputDefinition) -> InputDefinition | None:
    """What both allow; None where they do not ask for the same."""
    if (one.type, one.name, one.optional, one.round, one.display) != (
        *(other.type, other.name, other.optional, other.round, other.display),
    ):
        return None
    least, most = max(_least(one), _least(other)), min(_most(one), _most(other))
    if _least(one) > _most(other) or _most(one) < _least(other):
        return None
    step = _common(1 if one.step is None else one.step, 1 if other.step is None else other.step)
    return replace(one, minimum=least, maximum=most, step=step)


def within(value: Any, declared: InputDefinition) -> Any:
    """The nearest number that is allowed."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return min(max(value, _least(declared)), _most(declared))


def _least(declared: InputDefinition) -> float:
    return -math.inf if declared.minimum is None else declared.minimum


def _most(declared: InputDefinition) -> float:
    return math.inf if declared.maximum is None else declared.maximum


def _common(one: float, other: float) -> float:
    """The least common multiple, also of fractions."""
    first, second = one, other
    for _ in range(MAX_STEPS):
        if second == 0:
            break
        first, second = second, math.fmod(first, second)
    return abs(one * other) / first if first else 1


def _whole(value: float, declared: InputDefinition) -> float:
    step = declared.step or 1
    if step == 1:
        return value if isinstance(value, int) else _nearest(value)
    offset = math.fmod(declared.minimum or 0, step) if math.isfinite(declared.minimum or 0) else 0
    return _nearest((value - offset) / step) * step + offset


def _fraction(value: float, declared: InputDefinition) -> float:
    step = 0.5 if declared.step is None else declared.step
    precision = max(0, -math.floor(math.log10(step))) if step > 0 else 0
    to = 10.0**-precision if precision and not declared.round else declared.round
    if not to:
        return value
    found = _fixed(_nearest(value / to) * to, precision)
    least = 0 if declared.minimum is None else declared.minimum
    most = 2048 if declared.maximum is None else declared.maximum
    return min(max(found, least), most)


def _nearest(value: float) -> int:
    """Halves go up, also below zero."""
    return math.floor(value + 0.5)


def _fixed(value: float, digits: int) -> float:
    return float(f"{value:.{digits}f}")
