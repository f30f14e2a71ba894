"""kill -9 in the middle of runs, each process in turn: every accepted run ends once, nothing is lost or doubled."""

import asyncio
import os
import random
from collections.abc import Sequence
from uuid import uuid4

import pytest
from msgspec import Struct

from tests.whole.graphs import THREE, pictures
from tests.whole.moments import grown_to, head, restarted
from tests.whole.people import Person
from tests.whole.truth import audit
from tests.whole.whole import EVERYTHING, Whole

RUNS = 5  # one runs, one is ahead in ComfyUI, outputs of one are copied, and some wait
EVENTS = 6 * RUNS  # so many happen in a round, or more
SOAK_ROUNDS = int(os.environ.get("COMFYPLUS_SOAK_ROUNDS", "50"))
SEED = int(os.environ.get("COMFYPLUS_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


class Blow(Struct, frozen=True):
    """Kill these processes at once when the round has brought so many events."""

    after: int
    victims: tuple[str, ...]


@pytest.mark.parametrize("victim", EVERYTHING)
async def test_every_run_survives_kill_9_of(victim: str, whole: Whole, ann: Person) -> None:
    print(f"seed {SEED}")
    chance = random.Random(f"{SEED} {victim}")
    await killed_amid_runs(whole, ann, [Blow(chance.randint(1, EVENTS), (victim,))], chance)


@pytest.mark.soak
@pytest.mark.timeout(120 * SOAK_ROUNDS)
async def test_every_run_survives_many_random_kills(whole: Whole, ann: Person) -> None:
    print(f"seed {SEED}")
    for number in range(SOAK_ROUNDS):
        chance = random.Random(f"{SEED} {number}")
        moments = sorted(chance.randint(1, EVENTS) for _ in range(chance.choice((1, 1, 2, 3))))
        blows = [Blow(moment, some(chance)) for moment in moments]
        print(f"round {number}: {blows}", flush=True)
        await killed_amid_runs(whole, ann, blows, chance)


def some(chance: random.Random) -> tuple[str, ...]:
    """Mostly one, sometimes all of them."""
    return tuple(chance.sample(EVERYTHING, chance.choice((1, 1, 1, 1, 2, 3, len(EVERYTHING)))))


async def killed_amid_runs(
    whole: Whole, somebody: Person, blows: Sequence[Blow], chance: random.Random
) -> None:
    workflow = await somebody.workflow(pictures(chance.uniform(0.05, 0.3)))
    before = head(whole)
    submitting = [
        asyncio.create_task(somebody.submit(workflow, key=uuid4().hex, priority=chance.randint(1, 10)))
        for _ in range(RUNS)
    ]
    for blow in blows:
        await grown_to(whole, before + blow.after)
        died = {victim: whole.kill(victim) for victim in blow.victims}
        for victim, pid in died.items():
            await restarted(whole, victim, pid)
    accepted = await asyncio.gather(*submitting)
    assert len(set(accepted)) == RUNS
    await audit(whole, somebody, workflow, dict.fromkeys(accepted, THREE))
