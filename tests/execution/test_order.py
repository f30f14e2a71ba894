"""Who is next: pools by class, accounts by what they have had, an account's own runs by priority and age."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from adapters.postgres.queue import PostgresQueue
from domain.account import AccountReinstated, AccountSuspended
from domain.ids import AccountId
from domain.run import RunClaimed
from services.ports.dispatching import Claimed
from tests.execution.floor import ANN, BOB, CAT, LONG_AGO, Floor, opened
from tests.servers import Database


@pytest.fixture
async def floor(database: Database) -> AsyncIterator[Floor]:
    async with opened(database) as made:
        yield made


async def test_a_flood_delays_another_by_two_runs_at_most(floor: Floor) -> None:
    await floor.submit(ANN, 500)
    await floor.serve(7)
    running, ahead = await floor.claimed(), await floor.claimed()
    (single,) = await floor.submit(BOB)
    await floor.finish(running)

    assert (await floor.claimed()).run == single
    assert ahead.owner == ANN


async def test_a_flood_of_one_who_was_idle_does_not_stop_the_others(floor: Floor) -> None:
    await floor.submit(BOB, 40)
    await floor.serve(20)
    await floor.submit(ANN, 100)

    assert Counter(await floor.serve(20))[BOB] in (9, 10)


async def test_one_who_comes_back_from_idle_has_neither_credit_nor_debt(floor: Floor) -> None:
    await floor.submit(BOB, 2)
    await floor.submit(ANN, 200)
    await floor.serve(60)  # bob had two, long ago
    await floor.submit(BOB, 100)

    assert Counter(await floor.serve(20))[BOB] in (10, 11)


async def test_an_account_with_twice_the_weight_gets_twice_as_much(floor: Floor) -> None:
    await floor.give(ANN, weight=2.0)
    await floor.submit(ANN, 50)
    await floor.submit(BOB, 50)

    assert Counter(await floor.serve(30)) == {ANN: 20, BOB: 10}


async def test_who_runs_longer_gets_fewer_runs(floor: Floor) -> None:
    """What counts is time, and a run is charged what it really took."""
    await floor.submit(ANN, 100)
    await floor.submit(BOB, 100)
    had = Counter[AccountId]()
    for _ in range(60):
        claimed = await floor.claimed()
        seconds = 30 if claimed.owner == ANN else 10
        had[claimed.owner] += seconds
        await floor.finish(claimed, seconds)

    assert abs(had[ANN] - had[BOB]) <= 30


async def test_nobody_gains_on_others_by_calling_everything_urgent(floor: Floor) -> None:
    await floor.submit(ANN, 30, priority=10)
    await floor.submit(BOB, 30, priority=1)

    assert Counter(await floor.serve(20)) == {ANN: 10, BOB: 10}


async def test_the_runs_of_a_suspended_account_wait(floor: Floor) -> None:
    await floor.submit(ANN, 2)
    (other,) = await floor.submit(BOB)
    under_way = await floor.claimed()
    await floor.write(ANN, AccountSuspended(reason="Mining.", epoch=1), owner=ANN)
    await floor.fold()
    await floor.finish(under_way)  # what runs may end

    assert (under_way.owner, (await floor.claimed()).run) == (ANN, other)
    assert await floor.claim() is None
    await floor.write(ANN, AccountReinstated(reason="A mistake."), owner=ANN)
    await floor.fold()
    assert (await floor.claimed()).owner == ANN


async def test_within_an_account_the_urgent_overtake(floor: Floor) -> None:
    (usual,) = await floor.submit(ANN, priority=5)
    (urgent,) = await floor.submit(ANN, priority=9)

    assert [(await floor.claimed()).run for _ in range(2)] == [urgent, usual]


async def test_the_least_urgent_is_never_starved(floor: Floor) -> None:
    """Ten minutes of waiting weigh as much as one step of priority."""
    (patient,) = await floor.submit(ANN, priority=1, fold=False)
    await floor.fold(age=timedelta(minutes=91))
    await floor.submit(ANN, 50, priority=10)

    assert (await floor.claimed()).run == patient


async def test_an_urgent_run_is_not_overtaken_by_a_warm_one(floor: Floor) -> None:
    await floor.see("gpu-1")
    await floor.submit(ANN, model="a")
    await floor.finish(await floor.claimed())
    await floor.submit(ANN, 3, model="a", priority=5)
    (urgent,) = await floor.submit(ANN, model="b", priority=6)

    assert (await floor.claimed()).run == urgent


async def test_no_run_waits_for_ever_for_warm_ones(floor: Floor) -> None:
    """Warm runs that came more than five minutes later do not overtake it."""
    await floor.see("gpu-1")
    await floor.submit(ANN, model="a")
    await floor.finish(await floor.claimed())
    (cold,) = await floor.submit(ANN, model="b", fold=False)
    await floor.fold(age=timedelta(minutes=6))
    await floor.submit(ANN, 5, model="a")

    assert (await floor.claimed()).run == cold


async def test_a_warm_run_is_taken_at_most_32_places_before_its_turn(floor: Floor) -> None:
    await floor.see("gpu-1")
    await floor.submit(ANN, model="a")
    await floor.finish(await floor.claimed())
    cold = await floor.submit(ANN, 32, model="b")
    (warm,) = await floor.submit(ANN, model="a")

    assert (await floor.claimed("gpu-2")).run == cold[0]  # which brings the warm one to place 32
    assert (await floor.claimed("gpu-1")).run == warm


async def test_a_cold_run_of_another_is_not_held_up_by_a_warm_flood(floor: Floor) -> None:
    await floor.see("gpu-1")
    await floor.submit(ANN, 100, model="a")
    await floor.serve(5)
    running, ahead = await floor.claimed(), await floor.claimed()
    (cold,) = await floor.submit(BOB, model="b")
    await floor.finish(running)

    assert (await floor.claimed()).run == cold
    assert ahead.owner == ANN


async def test_others_warm_runs_do_not_let_a_cold_one_wait_for_ever(floor: Floor) -> None:
    """Nor if there is always another account, which has had nothing yet."""
    await floor.see("gpu-1")
    await floor.submit(ANN, model="a")
    await floor.finish(await floor.claimed())
    (cold,) = await floor.submit(BOB, model="b", fold=False)
    await floor.fold(age=timedelta(minutes=6))
    for number in range(5):
        await floor.submit(AccountId(UUID(int=number)), model="a")

    assert (await floor.claimed()).run == cold


async def test_a_pool_of_a_higher_class_goes_first(floor: Floor) -> None:
    await floor.set_pool("studio", rank=1)
    await floor.submit(ANN, 2)
    await floor.submit(BOB, 2, pool="studio")

    served = [(await floor.claimed("gpu-1", "shared", "studio")).owner for _ in range(4)]

    assert served == [BOB, BOB, ANN, ANN]
    assert await floor.claim("gpu-2", "studio") is None


async def test_a_backend_serves_only_its_own_pools(floor: Floor) -> None:
    await floor.submit(ANN, pool="studio")

    assert await floor.claim() is None
    assert (await floor.claimed("gpu-1", "studio")).owner == ANN


async def test_no_more_runs_of_an_account_are_under_way_than_it_may_have(floor: Floor) -> None:
    await floor.give(ANN, running=3)
    await floor.submit(ANN, 20)
    queues = [PostgresQueue(floor.pool) for _ in range(4)]

    claims = await asyncio.gather(
        *(floor.claim(f"gpu-{number}", queue=queues[number % 4]) for number in range(12))
    )

    held = [each for each in claims if each is not None]
    assert len(held) == len({each.run for each in held}) == 3
    await floor.fold()
    await floor.finish(held[0])
    assert await floor.claim() is not None
    assert await floor.claim() is None


async def test_an_account_at_its_limit_leaves_the_machines_to_others(floor: Floor) -> None:
    await floor.give(ANN, running=1)
    await floor.submit(ANN, 5)
    await floor.submit(BOB, 5)

    assert Counter([(await floor.claimed()).owner for _ in range(6)]) == {ANN: 1, BOB: 5}
    assert await floor.claim() is None


async def test_the_usual_limit_holds_where_no_other_was_given(floor: Floor) -> None:
    floor.queue = PostgresQueue(floor.pool, running=2)
    await floor.give(BOB, running=3)
    await floor.submit(ANN, 5)
    await floor.submit(BOB, 5)

    served = Counter[AccountId]()
    while (claimed := await floor.claim()) is not None:
        served[claimed.owner] += 1
    assert served == {ANN: 2, BOB: 3}


async def test_no_more_runs_of_a_pool_are_under_way_than_it_may_have(floor: Floor) -> None:
    await floor.set_pool("studio", running=2)
    await floor.submit(ANN, 5, pool="studio")
    await floor.submit(BOB, 5, pool="studio")

    held = [await floor.claimed("gpu-1", "studio") for _ in range(2)]
    assert await floor.claim("gpu-1", "studio") is None
    await floor.finish(held[0])
    assert await floor.claim("gpu-1", "studio") is not None


async def test_claims_at_the_same_moment_all_find_something(floor: Floor) -> None:
    """Also where there is one account only, which one claim after the other has to lock."""
    await floor.submit(ANN, 12)
    queues = [PostgresQueue(floor.pool) for _ in range(12)]

    claims = await asyncio.gather(*(floor.claim(f"gpu-{n}", queue=queue) for n, queue in enumerate(queues)))

    assert len({each.run for each in claims if each is not None}) == 12
    assert await floor.claim() is None


async def test_a_run_that_has_to_pause_keeps_nobody_from_others(floor: Floor) -> None:
    await floor.submit(ANN)
    await floor.lose(await floor.claimed(), not_before=LONG_AGO.replace(year=2100))
    await floor.submit(BOB)

    assert (await floor.claimed()).owner == BOB
    assert await floor.claim() is None


async def test_nothing_is_claimed_while_all_is_paused(floor: Floor) -> None:
    await floor.submit(ANN)
    await floor.pause()
    assert await floor.claim() is None
    assert not await floor.queue.waiting()
    await floor.submit(ANN)  # is taken in all the same
    floor.queue = PostgresQueue(floor.pool)  # another process
    assert await floor.claim() is None
    await floor.resume()
    assert await floor.queue.waiting()
    assert await floor.claim() is not None
    assert await floor.claim() is not None


async def test_a_paused_pool_stands_still_and_the_others_go_on(floor: Floor) -> None:
    await floor.submit(ANN, pool="studio")
    await floor.submit(BOB)
    await floor.pause("studio")

    assert (await floor.claimed("gpu-1", "shared", "studio")).owner == BOB
    assert await floor.claim("gpu-1", "shared", "studio") is None
    await floor.resume("studio")
    assert (await floor.claimed("gpu-1", "shared", "studio")).owner == ANN


async def test_the_log_tells_what_a_claim_was_charged(floor: Floor) -> None:
    await floor.give(ANN, weight=0.5)
    await floor.submit(ANN)
    claimed = await floor.claimed()

    recorded = (await floor.log.read(claimed.run))[-1]
    assert isinstance(recorded.event, RunClaimed)
    assert recorded.event.charge is not None
    assert (recorded.event.charge.run_us, recorded.event.charge.weight) == (20_000_000, 0.5)
    assert (recorded.event.epoch, recorded.event.backend, recorded.event.executor) == (1, "gpu-1", "of-gpu-1")


async def test_a_name_full_of_signs_stays_a_name(floor: Floor) -> None:
    strange = 'a",%s{}"charge":null}\\'
    await floor.submit(ANN)
    claimed = await floor.claimed(strange)

    recorded = (await floor.log.read(claimed.run))[-1]
    assert isinstance(recorded.event, RunClaimed)
    assert recorded.event.backend == strange


async def test_an_attempt_that_never_began_costs_nothing(floor: Floor) -> None:
    await floor.submit(ANN, 2)
    for _ in range(5):
        await floor.lose(await floor.claimed())
    ((pool, owner, waiting, served_us, _, _),) = (await floor.tables())["shares"]

    assert (pool, owner, waiting, served_us) == ("shared", ANN, 2, 0)


@pytest.mark.parametrize("page", [500, 1])
async def test_what_was_handed_back_costs_nothing(floor: Floor, page: int) -> None:
    await floor.submit(ANN)
    for _ in range(3):
        await floor.hand_back(await floor.claimed())
    ((pool, owner, waiting, served_us, _, _),) = before = (await floor.tables())["shares"]
    assert (pool, owner, waiting, served_us) == ("shared", ANN, 1, 0)
    await floor.rebuild(page)
    assert (await floor.tables())["shares"] == before

    await floor.finish(await floor.claimed(), 10)

    ((_, _, _, served_us, _, _),) = (await floor.tables())["shares"]
    assert served_us == 10_000_000


async def test_two_backends_seldom_change_their_models(floor: Floor) -> None:
    """4 models, 5 people, 100 runs in any order: at most 12 changes, and nobody is far behind."""
    chance = random.Random(4)
    people = [AccountId(UUID(int=number)) for number in range(1, 6)]
    models = [model for model in "abcd" for _ in range(25)]
    chance.shuffle(models)
    model_of = {}
    for number, model in enumerate(models):
        (run,) = await floor.submit(people[number % 5], model=model, fold=False)
        model_of[run] = model
    await floor.fold()
    await floor.see("gpu-1", "gpu-2")

    loaded: dict[str, str] = {}
    had, changes = Counter[AccountId](), 0
    running: dict[str, Claimed | None] = {"gpu-1": None, "gpu-2": None}
    for step in range(100):
        backend = f"gpu-{step % 2 + 1}"
        if (before := running[backend]) is not None:
            await floor.finish(before)
        claimed = running[backend] = await floor.claimed(backend)
        changes += loaded.get(backend) != model_of[claimed.run]
        loaded[backend] = model_of[claimed.run]
        had[claimed.owner] += 1
        waiting = [person for person in people if had[person] < 20]
        if len(waiting) == 5:
            assert max(had.values()) - min(had.values()) <= 2
    assert changes <= 12
    assert set(had.values()) == {20}


@pytest.mark.parametrize("seed", range(3))
async def test_the_queue_is_built_anew_from_the_log_as_it_was(floor: Floor, seed: int) -> None:
    chance = random.Random(seed)
    people = (ANN, BOB, CAT)
    others = [PostgresQueue(floor.pool) for _ in range(2)]
    waiting, held = list[UUID](), list[Claimed]()
    failed, begun = list[Claimed](), set[UUID]()
    await floor.see("gpu-0", "gpu-1")
    for _ in range(150):
        match chance.randrange(11):
            case 0 | 1 | 2:
                more = {"priority": chance.randint(1, 10), "pool": chance.choice(("shared", "studio"))}
                waiting += await floor.submit(chance.choice(people), model=chance.choice("ab"), **more)  # type: ignore[arg-type]
            case 3 | 4 | 5:
                backend = f"gpu-{chance.randrange(2)}"
                claimed = await floor.claim(backend, "shared", "studio", queue=chance.choice(others))
                held += [claimed] if claimed is not None else []
            case 6 if held:
                started = chance.choice(held)
                begun.add(started.run)
                await floor.start(started)
            case 7 if held:
                await floor.finish(held.pop(chance.randrange(len(held))), chance.uniform(0, 40))
            case 8 if held:
                one = held.pop(chance.randrange(len(held)))
                if one.run not in begun and chance.random() < 0.5:
                    await floor.hand_back(one)
                elif chance.random() < 0.5:
                    await floor.lose(one)
                else:
                    await floor.fail(one)
                    failed.append(one)
            case 9 if held:
                await floor.cancel(held.pop().run)
            case 10 if failed:
                await floor.revive(failed.pop().run)
            case _:
                await floor.give(
                    chance.choice(people), weight=chance.choice((0.5, 1.0, 3.0)), queued=chance.randint(1, 9)
                )
    await floor.fold()
    before = await floor.tables()
    assert before["shares"]

    for page in (500, 7, 1):
        await floor.rebuild(page)
        assert await floor.tables() == before
