"""The rules of webhooks."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain import webhook
from domain.refusals import Conflict, NotFound
from domain.webhook import (
    OVERLAP,
    WEBHOOK,
    Reason,
    WebhookChanged,
    WebhookCreated,
    WebhookDeleted,
    WebhookDisabled,
    WebhookPaused,
    WebhookResumed,
    WebhookSecretRotated,
    change,
    create,
    delete,
    disable,
    kept,
    pause,
    resume,
    rotate,
    signing,
    wants,
)
from tests.domain.facts import ANN, BOB, NOON
from tests.domain.scenario import Scenario

hook = Scenario(WEBHOOK)
ADDRESS, OTHER_ADDRESS, FIRST, SECOND, THIRD = (UUID(int=number) for number in range(1, 6))
KNOWN = ("run.succeeded.v1", "run.failed.v1", "workflow.published.v1")

created = WebhookCreated(owner=ANN, address=ADDRESS, secret=FIRST)
rotated = WebhookSecretRotated(secret=SECOND, until=NOON + OVERLAP)
gone = WebhookDisabled(reason=Reason.GONE)


def test_a_webhook_is_made() -> None:
    made = hook.given().when(
        create,
        owner=ANN,
        address=ADDRESS,
        secret=FIRST,
        known=KNOWN,
        types=("run.*", "run.*"),
        description="x",
    )
    made.then(WebhookCreated(owner=ANN, address=ADDRESS, secret=FIRST, types=("run.*",), description="x"))
    made.and_again_refused(Conflict)


@pytest.mark.parametrize(
    "wrong", ["runs.*", "run.suceeded.v1", "", "run.", ".*", "run*", "*.v1", "run.*.v1", "r*", "*" * 9]
)
def test_types_that_are_none_are_refused(wrong: str) -> None:
    hook.given(created).when(change, by=ANN, known=KNOWN, types=("run.*", wrong)).then_invalid("types.1")


@pytest.mark.parametrize("right", ["run.*", "run.failed.v1", "*", "workflow.published.*"])
def test_types_and_kinds_are_taken(right: str) -> None:
    hook.given(created).when(change, by=ANN, known=KNOWN, types=(right,)).then(WebhookChanged(types=(right,)))


def test_too_many_types_and_too_long_words_are_refused() -> None:
    many = tuple(f"run.x{number}" for number in range(51))
    hook.given(created).when(change, by=ANN, known=KNOWN, types=many).then_invalid("types")
    hook.given(created).when(change, by=ANN, known=KNOWN, description="x" * 501).then_invalid("description")
    hook.given(created).when(change, by=ANN, known=KNOWN, description="a\nb").then_invalid("description")


def test_only_what_is_other_than_before_is_a_change() -> None:
    changed = hook.given(created).when(
        change,
        by=ANN,
        known=KNOWN,
        address=OTHER_ADDRESS,
        types=(),
        description="new",
        everybody=False,
        ordered=False,
    )
    changed.then(WebhookChanged(address=OTHER_ADDRESS, description="new", ordered=False))
    changed.and_again_nothing()


def test_what_is_switched_off_is_off() -> None:
    """False is a value, not an absence."""
    off = WebhookChanged(everybody=False, ordered=False)
    on = WebhookCreated(owner=ANN, address=ADDRESS, secret=FIRST, everybody=True)
    hook.given(on).when(change, by=ANN, known=KNOWN, everybody=False, ordered=False).then(off)
    state = hook.given(on, off).state
    assert (state.everybody, state.ordered) == (False, False)


def test_a_secret_signs_for_a_day_beside_its_successor() -> None:
    hook.given(created).when(rotate, by=ANN, secret=SECOND, now=NOON).then(rotated)
    state = hook.given(created, rotated).state
    assert signing(state, NOON) == (SECOND, FIRST)
    assert signing(state, NOON + OVERLAP) == (SECOND,)


def test_two_changes_within_a_day_leave_all_three_secrets_at_work() -> None:
    later = NOON + timedelta(hours=1)
    again = WebhookSecretRotated(secret=THIRD, until=later + OVERLAP)
    state = hook.given(created, rotated, again).state
    assert signing(state, later) == (THIRD, SECOND, FIRST)
    assert signing(state, NOON + OVERLAP) == (THIRD, SECOND)
    assert kept(state) == {ADDRESS, FIRST, SECOND, THIRD}


def test_a_secret_that_has_run_out_is_forgotten_with_the_next_change() -> None:
    later = NOON + OVERLAP
    state = hook.given(created, rotated, WebhookSecretRotated(secret=THIRD, until=later + OVERLAP)).state
    assert kept(state) == {ADDRESS, SECOND, THIRD}


def test_a_secret_is_not_changed_all_the_time() -> None:
    many = [WebhookSecretRotated(secret=UUID(int=50 + n), until=NOON + OVERLAP) for n in range(4)]
    hook.given(created, *many).when(rotate, by=ANN, secret=SECOND, now=NOON).then_refused(
        Conflict, "too often"
    )
    tomorrow = NOON + OVERLAP
    hook.given(created, *many).when(rotate, by=ANN, secret=SECOND, now=tomorrow).then(
        WebhookSecretRotated(secret=SECOND, until=tomorrow + OVERLAP)
    )


def test_it_is_paused_and_resumed() -> None:
    hook.given(created).when(pause, by=ANN).then(WebhookPaused()).and_again_nothing()
    hook.given(created, WebhookPaused()).when(resume, by=ANN).then(WebhookResumed()).and_again_nothing()


def test_the_system_disables_it_and_its_owner_enables_it() -> None:
    hook.given(created).when(disable, reason=Reason.GONE).then(gone).and_again_nothing()
    assert hook.given(created, gone).state.disabled is Reason.GONE
    hook.given(created, gone).when(resume, by=ANN).then(WebhookResumed())
    assert hook.given(created, gone, WebhookResumed()).state.disabled is None


def test_nothing_that_is_away_is_disabled() -> None:
    for before in ((), (created, WebhookPaused()), (created, WebhookDeleted())):
        hook.given(*before).when(disable, reason=Reason.FAILING).then_nothing()


def test_it_is_deleted_for_good() -> None:
    hook.given(created).when(delete, by=ANN).then(WebhookDeleted()).and_again_nothing()
    deleted = hook.given(created, WebhookDeleted())
    for decide in (pause, resume):
        deleted.when(decide, by=ANN).then_refused(NotFound)
    assert kept(deleted.state) == frozenset()


def test_a_stranger_is_told_nothing() -> None:
    for before in ((), (created,), (created, WebhookDeleted())):
        for decide in (pause, resume, delete):
            hook.given(*before).when(decide, by=BOB).then_refused(NotFound)
        hook.given(*before).when(change, by=BOB, known=KNOWN).then_refused(NotFound)
        hook.given(*before).when(rotate, by=BOB, secret=SECOND, now=NOON).then_refused(NotFound)


def test_what_is_wanted() -> None:
    everything = hook.given(created).state
    runs = hook.given(created, WebhookChanged(types=("run.*", "workflow.published.v1"))).state
    all_are_told = hook.given(created, WebhookChanged(everybody=True)).state
    assert wants(everything, "workflow.changed.v1", own=True)
    assert not wants(everything, "workflow.published.v1", own=False)
    assert wants(all_are_told, "workflow.published.v1", own=False)
    assert wants(runs, "run.failed.v1", own=True)
    assert wants(runs, "workflow.published.v1", own=True)
    assert not wants(runs, "workflow.deleted.v1", own=True)
    assert not wants(hook.given(created, WebhookPaused()).state, "run.failed.v1", own=True)
    assert not webhook.named(("run.*",), "running.late.v1")
