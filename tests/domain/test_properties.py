"""Whatever is decided in whatever order: what must always hold."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from domain import account, standing
from domain.attempt import claim, lose_attempt, start, store_output, succeed
from domain.outcome import RETRIED, Failure, FailureKind
from domain.personal import Personal
from domain.refusals import DomainError
from domain.run import OVER, RUN, Run, RunEvent, Status, cancel, delete, revive, submit
from domain.trash import delete as delete_workflow
from domain.trash import recover, throw_away
from domain.workflow import WORKFLOW, Workflow, create, publish, rename, save_version, withdraw
from tests.domain.facts import ANN, BOB, NOON, OTHER_SESSION, SESSION, content, output, submitted

epochs = some.integers(0, 5)
failures = some.builds(Failure, some.sampled_from(FailureKind), some.just("It failed."))
run_wishes = some.one_of(
    some.just((submit, {"submitted": submitted})),
    some.just((claim, {"backend": "gpu-1", "executor": "east"})),
    some.tuples(some.just(start), some.fixed_dictionaries({"epoch": epochs})),
    some.tuples(
        some.just(store_output), some.fixed_dictionaries({"epoch": epochs, "output": some.just(output)})
    ),
    some.tuples(
        some.just(succeed), some.fixed_dictionaries({"epoch": epochs, "execution_s": some.just(1.0)})
    ),
    some.tuples(
        some.just(lose_attempt),
        some.fixed_dictionaries({"epoch": epochs, "failure": failures, "now": some.just(NOON)}),
    ),
    some.tuples(
        some.sampled_from([cancel, delete]), some.fixed_dictionaries({"by": some.sampled_from([ANN, BOB])})
    ),
)
workflow_wishes = some.sampled_from(
    [
        (create, {"owner": ANN, "name": "Portrait"}),
        (save_version, {"by": ANN, "graph": content("a")}),
        (save_version, {"by": ANN, "graph": content("b")}),
        (save_version, {"by": BOB, "graph": content("c")}),
        (rename, {"by": ANN, "name": "Other"}),
        (publish, {"by": ANN}),
        (withdraw, {"by": ANN}),
        (publish, {"by": BOB}),
        (throw_away, {"by": ANN}),
        (throw_away, {"by": BOB}),
        (recover, {"by": ANN}),
        (recover, {"by": BOB}),
        (delete_workflow, {"by": ANN}),
        (delete_workflow, {"by": BOB}),
    ]
)


def decided(decider: Any, state: Any, decide: Any, wish: dict[str, Any]) -> tuple[Any, list[Any]]:
    try:
        events = decide(state, **wish)
    except DomainError:
        return state, []
    return decider.fold(state, events), list(events)


@given(some.lists(run_wishes, max_size=60))
def test_a_run_ends_once_and_its_epochs_only_grow(wishes: list[tuple[Any, dict[str, Any]]]) -> None:
    state, ends = Run(), 0
    for decide, wish in [(submit, {"submitted": submitted}), *wishes]:
        before = state
        state, events = decided(RUN, state, decide, wish)
        if before.status in OVER and decide is not delete:
            assert (state, events) == (before, [])
        if before.status is Status.DELETED:
            assert not events
        ends += before.status not in OVER and state.status in OVER
        assert state.epoch - before.epoch in (0, 1)
        assert (state.epoch > before.epoch) == (
            state.status is Status.CLAIMED and before.status is Status.QUEUED
        )
        assert state.owner == ANN
    assert ends == (state.status in OVER)


@given(some.lists(run_wishes | some.just((revive, {"now": NOON, "reason": "Mended."})), max_size=60))
def test_only_what_failed_for_want_of_a_machine_ever_goes_on(
    wishes: list[tuple[Any, dict[str, Any]]],
) -> None:
    state = Run()
    for decide, wish in [(submit, {"submitted": submitted}), *wishes]:
        before = state
        state, events = decided(RUN, state, decide, wish)
        if before.status in OVER and events and decide is not delete:
            assert (decide, before.status) == (revive, Status.FAILED)
            assert before.failure in RETRIED
            assert state.status is Status.QUEUED
        assert state.epoch >= before.epoch


@given(some.lists(run_wishes, max_size=40))
def test_a_run_told_again_is_the_same_run(wishes: list[tuple[Any, dict[str, Any]]]) -> None:
    state, history = Run(), list[RunEvent]()
    for decide, wish in wishes:
        state, events = decided(RUN, state, decide, wish)
        history += events
    assert RUN.fold(RUN.initial, history) == state


@given(some.lists(run_wishes, max_size=40))
def test_outputs_are_those_of_the_attempt_that_holds_the_run(
    wishes: list[tuple[Any, dict[str, Any]]],
) -> None:
    state, stored = Run(), dict[int, int]()
    for decide, wish in [(submit, {"submitted": submitted}), *wishes]:
        state, events = decided(RUN, state, decide, wish)
        if decide is store_output:
            stored[state.epoch] = stored.get(state.epoch, 0) + len(events)
        if decide is succeed and events:
            assert events[0].outputs == stored.get(state.epoch, 0)


@given(some.lists(workflow_wishes, max_size=40))
def test_versions_are_only_added_and_a_deleted_workflow_stays_deleted(
    wishes: list[tuple[Any, dict[str, Any]]],
) -> None:
    state = Workflow()
    for decide, wish in wishes:
        before = state
        state, events = decided(WORKFLOW, state, decide, wish)
        assert state.versions[: len(before.versions)] == before.versions
        assert state.owner in (None, ANN)
        if before.deleted:
            assert not events
        if events and decide is not create:
            assert decided(WORKFLOW, state, decide, wish)[1] == []


session_ids = some.sampled_from([SESSION, OTHER_SESSION])
account_wishes = some.one_of(
    some.just((account.register, {"id": ANN, "username": Personal("c2VhbGVk")})),
    some.tuples(
        some.just(account.log_in), some.fixed_dictionaries({"session": session_ids, "epoch": epochs})
    ),
    some.tuples(
        some.sampled_from([account.log_out, account.revoke]),
        some.fixed_dictionaries({"session": session_ids}),
    ),
    some.tuples(
        some.sampled_from([account.end_others, account.turn_off]),
        some.fixed_dictionaries({"by": session_ids}),
    ),
    some.tuples(
        some.just(account.turn_on),
        some.fixed_dictionaries({"factor": some.sampled_from([ANN, BOB]), "by": session_ids}),
    ),
    some.tuples(
        some.just(account.change_password),
        some.fixed_dictionaries({"password": some.sampled_from([ANN, BOB]), "by": session_ids}),
    ),
    some.tuples(
        some.just(standing.give_role),
        some.fixed_dictionaries({"role": some.sampled_from(account.Role), "reason": some.just("Because.")}),
    ),
    some.tuples(
        some.sampled_from([standing.suspend, standing.reinstate, standing.drop_factor]),
        some.just({"reason": "Because."}),
    ),
    some.tuples(some.sampled_from([account.leave, account.erase]), some.just({"with_published": False})),
)


@given(some.lists(account_wishes, max_size=40))
def test_whoever_is_suspended_or_gone_has_no_session_and_epochs_only_grow(
    wishes: list[tuple[Any, dict[str, Any]]],
) -> None:
    state, history = account.Account(), list[account.AccountEvent]()
    for decide, wish in wishes:
        before = state
        state, events = decided(account.ACCOUNT, state, decide, wish)
        history += events
        assert state.epoch >= before.epoch
        if state.suspended is not None or state.erased:
            assert state.sessions == ()
        if before.erased:
            assert not events
        if events and decide is not account.change_password:
            assert decided(account.ACCOUNT, state, decide, wish)[1] == []
    assert account.ACCOUNT.fold(account.ACCOUNT.initial, history) == state
