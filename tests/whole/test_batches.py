"""kill -9 amid a batch: it is there whole, once, however often it was asked for; and it is cancelled whole."""

import asyncio
import random
from uuid import uuid4

import pytest

from tests.whole.moments import grown_to, head, restarted
from tests.whole.people import Person
from tests.whole.test_kills import SEED
from tests.whole.truth import read_log
from tests.whole.whole import Whole

RUNS = 40
PARAMETERS = {"checkpoint": "sandbox.safetensors", "prompt": "a fox", "width": 64, "height": 64, "steps": 1}


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
async def test_a_batch_is_submitted_and_cancelled_once_whatever_is_killed(
    pause_s: float, whole: Whole, ann: Person
) -> None:
    print(f"seed {SEED}")
    chance, before, key = random.Random(f"{SEED} {pause_s}"), head(whole), uuid4().hex
    asked = {"runs": [PARAMETERS | {"seed": seed} for seed in range(RUNS)]}
    submitting = asyncio.create_task(ann.ask("POST", "/generate/batch", key=key, json=asked))
    await asyncio.sleep(pause_s * chance.random())
    await restarted(whole, "api", whole.kill("api"))
    batch = await submitting
    again = await ann.ask("POST", "/generate/batch", key=key, json=asked)
    assert (again["id"], again["runs"]) == (batch["id"], batch["runs"])

    since = head(whole)
    cancelling = asyncio.create_task(ann.ask("POST", f"/batches/{batch['id']}/cancel", key=uuid4().hex))
    await grown_to(whole, since + 1)
    await restarted(whole, "api", whole.kill("api"))
    await cancelling

    facts = [each for each in read_log(whole).facts if each.position > before]
    submitted = [each.stream for each in facts if each.topic == "run.submitted.v1"]
    assert sorted(map(str, submitted)) == sorted(batch["runs"])
    assert [str(each.stream) for each in facts if each.topic == "batch.submitted.v1"] == [batch["id"]]
    assert sum(each.topic == "batch.cancelled.v1" for each in facts) == 1
    over = [each.stream for each in facts if each.topic in ("run.cancelled.v1", "run.succeeded.v1")]
    assert sorted(over) == sorted(submitted)
