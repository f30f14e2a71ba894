"""What administrators let through to backends."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.gate import GATE, GateRules, GateSet, change_rules, set_rules
from domain.refusals import Invalid
from tests.domain.scenario import Scenario

gate = Scenario(GATE)
NAMES = some.lists(some.sampled_from("ABCD"), max_size=3).map(tuple)


def rules(**said: object) -> GateSet:
    return GateSet(rules=GateRules(**said), reason="Asked.")  # type: ignore[arg-type]  # as the tests say


def test_what_is_allowed_is_denied_no_more_and_the_other_way_round() -> None:
    before = rules(allowed=("A", "B"), denied=("C",), batch=8)
    gate.given(before).when(change_rules, allow=("C",), deny=("A",), reason=" Asked. ").then(
        rules(allowed=("B", "C"), denied=("A",), batch=8)
    ).and_again_nothing()


def test_what_is_forgotten_is_neither() -> None:
    before = rules(allowed=("A",), denied=("B",))
    gate.given(before).when(change_rules, forget=("A", "B", "C"), reason="Asked.").then(
        rules()
    ).and_again_nothing()


def test_limits_change_alone() -> None:
    before = rules(allowed=("A",))
    gate.given(before).when(change_rules, limits={"side": 64}, reason="Asked.").then(
        rules(allowed=("A",), side=64)
    ).and_again_nothing()


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"allow": ("",)}, "allowed.0"),
        ({"deny": ("x" * 201,)}, "denied.0"),
        ({"allow": ("A",), "deny": ("A",)}, "denied"),
        ({"limits": {"nodes": 0}}, "nodes"),
    ],
)
def test_what_makes_no_sense_is_refused(wish: dict[str, object], field: str) -> None:
    gate.given().when(change_rules, **wish, reason="Asked.").then_invalid(field)


def test_a_reason_is_asked_for() -> None:
    gate.given().when(set_rules, rules=GateRules(batch=2), reason=" ").then_invalid("reason")
    gate.given().when(change_rules, allow=("A",), reason="").then_invalid("reason")


@given(before=some.lists(some.tuples(NAMES, NAMES, NAMES), max_size=3), wish=some.tuples(NAMES, NAMES, NAMES))
def test_a_change_taken_twice_adds_nothing(
    before: list[tuple[tuple[str, ...], ...]], wish: tuple[tuple[str, ...], ...]
) -> None:
    state = GATE.initial
    for allow, deny, forget in [*before, wish, wish]:
        try:
            decided = change_rules(state, allow=allow, deny=deny, forget=forget, reason="Asked.")
        except Invalid:
            assert set(allow) & set(deny)
            continue
        again = GATE.fold(state, decided)
        assert change_rules(again, allow=allow, deny=deny, forget=forget, reason="Asked.") == []
        state = again
