"""A backend is registered, seen, drained, lost from sight and removed."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from domain.backend import (
    BACKEND,
    Backend,
    BackendChanged,
    BackendDrained,
    BackendInventoried,
    BackendLost,
    BackendRegistered,
    BackendRemoved,
    BackendResumed,
    BackendSeen,
    Kind,
    bound_to,
    change,
    drain,
    lose,
    own_name,
    register,
    remove,
    resume,
    see,
    take_stock,
)
from domain.refusals import Conflict, DomainError, Invalid, NotFound
from tests.domain.facts import ANN, BOB, content
from tests.domain.scenario import Scenario

backend = Scenario(BACKEND)
seen = BackendSeen(name="gpu-1", executor="east", comfyui_version="0.9", device="RTX 4090")
lost = BackendLost(name="gpu-1", reason="It does not answer.")
registered = BackendRegistered(
    name="gpu-1", access=UUID(int=1), kind=Kind.COMFYUI, pool="big", executor="east", slots=1
)
drained = BackendDrained(name="gpu-1", reason="A new driver.")
removed = BackendRemoved(name="gpu-1", reason="Sold.")
stock = BackendInventoried(name="gpu-1", inventory=content("a"), node_classes=3)


def test_a_backend_is_seen_once() -> None:
    backend.given().when(see, sight=seen).then(seen).and_again_nothing()


def test_another_version_is_news() -> None:
    newer = replace(seen, comfyui_version="1.0")
    backend.given(seen).when(see, sight=newer).then(newer)


def test_a_backend_is_lost_once() -> None:
    backend.given(seen).when(lose, reason="It does not answer.").then(lost).and_again_nothing()


def test_what_was_never_seen_is_not_lost() -> None:
    backend.given().when(lose, reason="It does not answer.").then_nothing()


def test_a_lost_backend_is_seen_again() -> None:
    backend.given(seen, lost).when(see, sight=seen).then(seen)


def test_who_is_told_late_that_it_is_gone_does_not_bring_it_back() -> None:
    order = registered.access
    backend.given(registered).when(see, sight=seen, access=order).then(seen).and_again_nothing()
    backend.given(registered, seen, removed).when(see, sight=seen, access=order).then_nothing()
    again = replace(registered, access=UUID(int=9))
    backend.given(registered, seen, removed, again).when(see, sight=seen, access=order).then_nothing()


def test_a_backend_is_registered_under_a_name_of_its_own() -> None:
    backend.given().when(register, registered=registered).then(registered)
    backend.given(registered).when(register, registered=registered).then_refused(Conflict, "already")


def test_what_an_executor_drives_by_its_own_settings_is_not_taken_over() -> None:
    backend.given(seen).when(register, registered=registered).then_refused(Conflict, "own settings")
    backend.given(seen, lost).when(register, registered=registered).then(registered)


@pytest.mark.parametrize("name", ["", "a b", "../gpu", "g" * 65, "gpu.1", "ü", own_name(BOB)])
def test_a_name_that_cannot_be_a_subject_or_is_somebodys_is_refused(name: str) -> None:
    wanted = replace(registered, name=name, owner=ANN)
    backend.given().when(register, registered=wanted).then_refused(Invalid)


def test_only_what_is_new_is_changed() -> None:
    backend.given(registered).when(change, pool="big", slots=2, reason="It is strong.").then(
        BackendChanged(name="gpu-1", slots=2, reason="It is strong.")
    ).and_again_nothing()
    backend.given(seen).when(change, pool="big").then_refused(Conflict, "own settings")
    backend.given().when(change, pool="big").then_refused(NotFound)


def test_draining_and_resuming_need_a_reason_and_happen_once() -> None:
    backend.given(seen).when(drain, reason="A new driver.").then(drained).and_again_nothing()
    backend.given(seen, drained).when(resume, reason="It is in.").then(
        BackendResumed(name="gpu-1", reason="It is in.")
    ).and_again_nothing()
    backend.given(seen).when(drain, reason=" ").then_refused(Invalid)
    backend.given().when(drain, reason="A new driver.").then_refused(NotFound)


def test_a_drained_backend_that_comes_back_is_still_drained() -> None:
    assert BACKEND.fold(Backend(), [seen, drained, lost, seen]).draining


def test_a_removed_backend_is_no_more_and_may_be_registered_again() -> None:
    backend.given(registered).when(remove, reason="Sold.").then(removed).and_again_nothing()
    backend.given(registered, removed).when(drain, reason="A new driver.").then_refused(NotFound)
    backend.given(registered, removed).when(register, registered=registered).then(registered)
    backend.given(seen).when(remove, reason="Sold.").then_refused(Conflict, "own settings")


def test_what_it_has_is_told_once() -> None:
    backend.given(seen).when(take_stock, stock=stock).then(stock).and_again_nothing()
    backend.given().when(take_stock, stock=stock).then_nothing()


def test_an_accounts_own_executor_is_known_by_its_name() -> None:
    assert bound_to(f"account-{ANN}") == ANN
    assert bound_to("account-of-somebody") is None
    assert bound_to("east") is None
    own = BackendSeen(name=own_name(ANN), executor=f"account-{ANN}")
    assert BACKEND.fold(Backend(), [own]).owner == ANN


wishes = some.sampled_from(
    [
        (see, {"sight": seen}),
        (lose, {"reason": "silent"}),
        (register, {"registered": registered}),
        (change, {"slots": 2}),
        (change, {"access": UUID(int=2)}),
        (drain, {"reason": "why"}),
        (resume, {"reason": "why"}),
        (remove, {"reason": "why"}),
        (take_stock, {"stock": stock}),
    ]
)


@given(some.lists(wishes, max_size=12))
def test_a_wish_granted_twice_changes_nothing_the_second_time(asked: list[tuple]) -> None:  # type: ignore[type-arg]
    state = Backend()
    for decide, arguments in asked:
        try:
            state = BACKEND.fold(state, decide(state, **arguments))
            again = decide(state, **arguments)
        except DomainError:
            continue
        assert again == []
