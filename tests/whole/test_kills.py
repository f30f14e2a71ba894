"""kill -9 in the middle of runs, each process in turn: every accepted run ends once, nothing is lost or doubled."""

import asyncio
import os
import random
from collections.abc import Sequence
from uuid import uuid4

import pytest

from tests.whole.graphs import THREE, pictures
from tests.whole.moments import grown_to, head
from tests.whole.people import Person
from tests.whole.truth import Log, audit
from tests.whole.whole import EVERYTHING, Whole

RUNS = 5  # one runs, one is ahead in ComfyUI, outputs of one are copied, and some wait
EVENTS = 6 * RUNS  # about so many happen in a round
SOAK_ROUNDS = int(os.environ.get("COMFYPLUS_SOAK_ROUNDS", "50"))
SEED = int(os.environ.get("COMFYPLUS_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


@pytest.mark.parametrize("victim", EVERYTHING)
async def test_every_run_survives_kill_9_of(victim: str, whole: Whole, ann: Person) -> None:
    print(f"seed {SEED}")
    await killed_amid_runs(whole, ann, [victim], random.Random(f"{SEED} {victim}"))


@pytest.mark.soak
@pytest.mark.timeout(120 * SOAK_ROUNDS)
async def test_every_run_survives_many_random_kills(whole: Whole, ann: Person) -> None:
    print(f"seed {SEED}")
    for number in range(SOAK_ROUNDS):
        chance = random.Random(f"{SEED} {number}")
        victims = chance.sample(EVERYTHING, chance.choice((1, 1, 1, 2, 3)))
        print(f"round {number}: {', '.join(victims)}")
        await killed_amid_runs(whole, ann, victims, chance)


async def killed_amid_runs(
    whole: Whole, somebody: Person, victims: Sequence[str], chance: random.Random
) -> Log:
    workflow = await somebody.workflow(pictures(chance.uniform(0.05, 0.3)))
    after = head(whole) + chance.randint(1, EVENTS)
    submitting = [
        asyncio.create_task(somebody.submit(workflow, key=uuid4().hex, priority=chance.randint(1, 10)))
        for _ in range(RUNS)
    ]
    await grown_to(whole, after)
    died = {victim: whole.kill(victim) for victim in victims}
    accepted = await asyncio.gather(*submitting)
    for victim, pid in died.items():
        whole.wait_until_restarted(victim, pid)
    assert len(set(accepted)) == RUNS
    return await audit(whole, somebody, workflow, dict.fromkeys(accepted, THREE))
