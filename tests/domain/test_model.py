"""What administrators say of models."""

from typing import Any

import msgspec
import pytest

from domain.account import Role
from domain.audience import MAX_ACCOUNTS, Audience
from domain.ids import model_id
from domain.model import (
    MAX_MODELS,
    MODELS,
    About,
    ModelChanged,
    ModelRegistered,
    ModelRemoved,
    Models,
    change,
    register,
    remove,
)
from domain.refusals import Conflict, Invalid, NotFound
from tests.domain.facts import ANN, BOB
from tests.domain.scenario import Scenario

models = Scenario(MODELS)
ID = model_id("checkpoints", "a/b.safetensors")
NAMED: dict[str, Any] = {"type": "checkpoints", "name": "a/b.safetensors"}
registered = ModelRegistered(model=ID, **NAMED, reason="Bought.")


def restricted(*accounts: Any, roles: tuple[Role, ...] = ()) -> About:
    return About(audience=Audience(roles=roles, accounts=accounts))


def test_a_model_is_registered_once() -> None:
    models.when(register, **NAMED, about=About(), reason=" Bought. ").then(registered)
    models.given(registered).when(register, **NAMED, about=About(), reason="Again.").then_refused(Conflict)


def test_what_is_said_of_it_changes_and_saying_it_twice_changes_nothing() -> None:
    wish = {"model": ID, "about": restricted(BOB, ANN, BOB, roles=(Role.ADMIN,)), "reason": "Licensed."}
    settled = restricted(ANN, BOB, roles=(Role.ADMIN,))
    models.given(registered).when(change, **wish).then(
        ModelChanged(model=ID, about=settled, reason="Licensed.")
    ).and_again_nothing()


def test_a_removed_model_may_be_registered_again() -> None:
    gone = ModelRemoved(model=ID, reason="Sold.")
    models.given(registered).when(remove, model=ID, reason="Sold.").then(gone)
    models.given(registered, gone).when(remove, model=ID, reason="Sold.").then_refused(NotFound)
    models.given(registered, gone).when(change, model=ID, about=About(), reason="x").then_refused(NotFound)
    models.given(registered, gone).when(register, **NAMED, about=About(), reason="Bought.").then(registered)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"type": ""}, "type"),
        ({"type": "a/b"}, "type"),
        ({"name": ""}, "name"),
        ({"name": "../secret"}, "name"),
        ({"name": "a\\..\\b"}, "name"),
        ({"name": "/etc/passwd"}, "name"),
        ({"name": "a//b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 501}, "name"),
        ({"name": f"user-{ANN}/own.safetensors"}, "name"),
        ({"about": About(description="x" * 2_001)}, "description"),
        ({"about": About(base_model="x" * 65)}, "base_model"),
        ({"about": About(trigger_words=("",))}, "trigger_words.0"),
        ({"about": About(trigger_words=("x",) * 51)}, "trigger_words"),
        ({"about": restricted()}, "audience"),
        ({"about": restricted(*[ANN] * (MAX_ACCOUNTS + 1))}, "audience.accounts"),
        ({"reason": " "}, "reason"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(wrong: dict[str, Any], field: str) -> None:
    models.when(register, **{**NAMED, "about": About(), "reason": "Bought."} | wrong).then_invalid(field)


def test_there_is_an_end_to_the_models_that_can_be_registered() -> None:
    state = Models()
    for number in range(MAX_MODELS):
        id = model_id("vae", str(number))
        state = MODELS.fold(state, [ModelRegistered(model=id, type="vae", name=str(number), reason="x")])
    with pytest.raises(Conflict):
        register(state, **NAMED, about=About(), reason="Bought.")
    assert (
        msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Models) == state
    )  # as snapshots are kept


def test_the_largest_that_can_be_said_fits_into_an_event() -> None:
    about = About(
        description="\x01" * 2_000,
        base_model="x" * 64,
        trigger_words=("\U0001f98a" * 100,) * 50,
        audience=Audience(roles=tuple(Role), accounts=(ANN,) * MAX_ACCOUNTS),
    )
    (event,) = register(Models(), type="x" * 64, name="\U0001f98a" * 500, about=about, reason="x" * 2_000)
    assert len(msgspec.json.encode(event)) < 64 * 1024


def test_whoever_is_named_or_has_the_role_belongs_to_an_audience() -> None:
    audience = Audience(roles=(Role.ADMIN,), accounts=(ANN,))
    assert audience.has(ANN, Role.MEMBER)
    assert audience.has(BOB, Role.ADMIN)
    assert not audience.has(BOB, Role.MEMBER)


def test_a_wrong_reason_is_told_before_anything_else() -> None:
    models.when(remove, model=ID, reason="").then_refused(Invalid)
