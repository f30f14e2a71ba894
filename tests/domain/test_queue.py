"""What administrators decide about the queue, its pools, and what an account may have."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from domain.account import Role
from domain.audience import Audience
from domain.ids import AccountId, Position
from domain.limits import LIMITS, Allowance, LimitReached, LimitsSet, Quota, Standing, admit, give
from domain.queue import (
    EVERYTHING,
    MAX_ASSIGNED,
    QUEUE,
    CleaningFinished,
    PoolAssigned,
    PoolSet,
    PoolSettings,
    Queue,
    QueueCleaned,
    QueuePaused,
    QueueResumed,
    assign,
    clean,
    finish_cleaning,
    pause,
    resume,
    set_pool,
)
from domain.refusals import DomainError, Invalid
from tests.domain.facts import ANN, BOB, NOON
from tests.domain.scenario import Scenario

queue, limits = Scenario(QUEUE), Scenario(LIMITS)
paused = QueuePaused(reason="New cards.")
studio_paused = QueuePaused(pool="studio", reason="New cards.")
studio = PoolSettings(rank=2, running=8, queued=100)
set_up = PoolSet(pool="studio", settings=studio, reason="Paid for.")
given_two = LimitsSet(account=ANN, limits=Allowance(running=2), weight=2.0, reason="Agreed.")


def test_the_queue_is_paused_once() -> None:
    queue.given().when(pause, pool=EVERYTHING, reason=" New cards. ").then(paused).and_again_nothing()


def test_it_goes_on_when_told() -> None:
    resumed = QueueResumed(reason="They are in.")
    queue.given(paused).when(resume, pool=EVERYTHING, reason="They are in.").then(resumed).and_again_nothing()


def test_resuming_what_runs_changes_nothing() -> None:
    queue.given().when(resume, pool="studio", reason="So that it runs.").then_nothing()


def test_a_pool_stays_paused_when_all_are_resumed() -> None:
    resumed = QueueResumed(reason="They are in.")
    queue.given(studio_paused, paused, resumed).when(pause, pool="studio", reason="Again.").then_nothing()


@pytest.mark.parametrize("decide", [pause, resume])
def test_a_reason_is_asked_for(decide: Any) -> None:
    queue.given().when(decide, pool=EVERYTHING, reason=" ").then_invalid("reason")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "x" * 65])
def test_a_pool_has_a_name_of_plain_letters(name: str) -> None:
    queue.given().when(set_pool, pool=name, settings=studio, reason="Paid for.").then_invalid("pool")


def test_a_pool_is_set_up_once() -> None:
    wish = {"pool": "studio", "settings": studio, "reason": "Paid for."}
    queue.given().when(set_pool, **wish).then(set_up).and_again_nothing()


def test_a_pool_without_any_limits_is_set_up_as_well() -> None:
    wish = {"pool": "studio", "settings": PoolSettings(), "reason": "Why not."}
    said = PoolSet(pool="studio", settings=PoolSettings(), reason="Why not.")
    queue.given().when(set_pool, **wish).then(said).and_again_nothing()


def test_a_pool_may_be_for_some_only() -> None:
    audience = Audience(roles=(Role.ADMIN,), accounts=(BOB, ANN, BOB))
    wish = {"pool": "studio", "settings": PoolSettings(audience=audience), "reason": "Licensed."}
    among = replace(audience, accounts=(ANN, BOB))
    queue.given().when(set_pool, **wish).then(
        PoolSet(pool="studio", settings=PoolSettings(audience=among), reason="Licensed.")
    ).and_again_nothing()
    nobody = PoolSettings(audience=Audience())
    queue.given().when(set_pool, pool="studio", settings=nobody, reason="why").then_invalid("audience")


def test_what_a_cleaning_came_to_is_told_once() -> None:
    asked = QueueCleaned(states=("failed",), before=NOON, reason="Old.")
    wish = {"cleaned": Position(1), "runs": 3, "outputs": 5}
    queue.given(asked).when(finish_cleaning, **wish).then(CleaningFinished(**wish)).and_again_nothing()
    another = {"cleaned": Position(9), "runs": 0, "outputs": 0}
    queue.given(asked, CleaningFinished(**wish)).when(finish_cleaning, **another).then(
        CleaningFinished(**another)
    )


def test_an_account_is_given_a_pool_and_loses_it_again() -> None:
    given_one = PoolAssigned(account=ANN, pool="studio", reason="Hers.")
    taken = PoolAssigned(account=ANN, pool="", reason="Gone.")
    queue.given().when(assign, account=ANN, pool="studio", reason="Hers.").then(given_one).and_again_nothing()
    queue.given(given_one).when(assign, account=ANN, pool="", reason="Gone.").then(taken).and_again_nothing()
    queue.given(given_one, taken).when(assign, account=ANN, pool="", reason="Gone.").then_nothing()
    queue.given().when(assign, account=ANN, pool="a b", reason="Hers.").then_invalid("pool")
    queue.given().when(assign, account=ANN, pool="studio", reason="").then_invalid("reason")
    full = Scenario(
        QUEUE, Queue(assigned={AccountId(UUID(int=10**9 + number)): "p" for number in range(MAX_ASSIGNED)})
    )
    full.when(assign, account=ANN, pool="studio", reason="Hers.").then_invalid("pool")
    state = full.state
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Queue) == state  # as snapshots are kept


@pytest.mark.parametrize(
    ("field", "number"), [("rank", 1_001), ("rank", -1_001), ("running", -1), ("queued", 10_000_001)]
)
def test_a_pools_settings_have_bounds(field: str, number: int) -> None:
    settings = replace(PoolSettings(), **{field: number})
    queue.given().when(set_pool, pool="studio", settings=settings, reason="Paid for.").then_invalid(field)


def test_there_are_not_endlessly_many_pools() -> None:
    pools = {f"p{number}": PoolSettings() for number in range(1_000)}
    full = Scenario(QUEUE, Queue(pools=pools))
    full.when(set_pool, pool="one-more", settings=studio, reason="Paid for.").then_refused(
        Invalid, "too many"
    )


def test_old_runs_are_put_away_once() -> None:
    wish = {"states": ("failed", "cancelled"), "before": NOON, "reason": "Old."}
    cleaned = QueueCleaned(states=("cancelled", "failed"), before=NOON, reason="Old.")
    queue.given().when(clean, **wish).then(cleaned).and_again_nothing()


@pytest.mark.parametrize("states", [(), ("queued",), ("failed", "deleted")])
def test_only_runs_that_are_over_are_put_away(states: tuple[str, ...]) -> None:
    queue.given().when(clean, states=states, before=NOON, reason="Old.").then_invalid("states")


def test_an_account_is_given_its_own_limits_once() -> None:
    wish = {"account": ANN, "limits": Allowance(running=2), "weight": 2.0, "reason": "Agreed."}
    limits.given().when(give, **wish).then(given_two).and_again_nothing()


def test_limits_as_all_have_them_are_no_change_for_whom_has_no_others() -> None:
    wish = {"account": ANN, "limits": Allowance(), "weight": 1.0, "reason": "Agreed."}
    limits.given().when(give, **wish).then_nothing()
    back = LimitsSet(account=ANN, reason="Agreed.")
    limits.given(given_two).when(give, **wish).then(back).and_again_nothing()


@pytest.mark.parametrize("weight", [0.0, -1.0, 100.5, float("nan"), float("inf")])
def test_a_weight_has_bounds(weight: float) -> None:
    wish = {"account": ANN, "limits": Allowance(), "weight": weight, "reason": "Agreed."}
    limits.given().when(give, **wish).then_invalid("weight")


@pytest.mark.parametrize("field", Allowance.__struct_fields__)
def test_a_limit_has_bounds(field: str) -> None:
    for number in (-1, 10_000_001):
        wish = {"account": ANN, "limits": Allowance(**{field: number}), "weight": 1.0, "reason": "Agreed."}
        limits.given().when(give, **wish).then_invalid(field)


NIGHT = NOON.replace(hour=23, minute=59)
four = Standing(limits=Allowance(queued=5, runs_per_day=10, run_s_per_day=60), queued=4, runs_today=4)


def test_runs_are_let_in_up_to_the_limit_and_told_what_is_left() -> None:
    assert admit(four, runs=1, now=NIGHT) == (
        Quota("queued", 5, 0),
        Quota("runs-per-day", 10, 5, 86_400, 60),
        Quota("run-seconds-per-day", 60, 60, 86_400, 60),
    )
    assert admit(Standing(limits=Allowance(), queued=10**6), runs=1, now=NIGHT) == ()


@pytest.mark.parametrize(
    ("standing", "says", "retry_after_s"),
    [
        (four, "At most 5 of your runs may wait", 30),
        (replace(four, queued=0, runs_today=9), "10 runs a day", 60),
        (replace(four, queued=0, run_s_today=60.0), "60 seconds a day", 60),
        (replace(four, queued=0, pool_queued=9, pool_limit=10), "The queue is full", 30),
    ],
)
def test_more_are_refused_and_told_when_to_come_back(
    standing: Standing, says: str, retry_after_s: int
) -> None:
    with pytest.raises(LimitReached, match=says) as refused:
        admit(standing, runs=2, now=NIGHT)
    assert refused.value.retry_after_s == retry_after_s
    assert [each.name for each in refused.value.quotas] == ["queued", "runs-per-day", "run-seconds-per-day"]


wishes = some.one_of(
    some.tuples(
        some.sampled_from([pause, resume]),
        some.fixed_dictionaries({"pool": some.sampled_from(["", "a", "b", "!"]), "reason": some.just("So.")}),
    ),
    some.tuples(
        some.just(set_pool),
        some.fixed_dictionaries(
            {
                "pool": some.sampled_from(["a", "b"]),
                "settings": some.builds(PoolSettings, rank=some.integers(-1, 1), running=some.none()),
                "reason": some.just("So."),
            }
        ),
    ),
)


@given(some.lists(wishes, max_size=30))
def test_whatever_is_decided_of_the_queue_is_decided_once(asked: list[tuple[Any, dict[str, Any]]]) -> None:
    state = Queue()
    for decide, wish in asked:
        try:
            state = QUEUE.fold(state, decide(state, **wish))
            assert decide(state, **wish) == []
        except DomainError:
            assert wish["pool"] == "!"
    assert len(set(state.paused)) == len(state.paused)
