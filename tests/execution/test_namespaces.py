"""Executors on machines of their own, whose link to NATS and to the object store is cut for longer than the lease.

Real processes in network namespaces, with a sandbox beside each; dispatch, NATS and PostgreSQL outside.
"""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec import Struct

from domain.ids import RunId, attempt_id
from domain.run import RunSucceeded
from infra.settings import Settings
from tests.execution.store import ObjectServer, object_server
from tests.execution.test_cut_off import Hall, Story, hall
from tests.execution.workshop import sleeping
from tests.namespaces import LOSSY, WAYS, Place, can_lose, places
from tests.sandbox.process import ROOT, SandboxProcess, sandbox
from tests.servers import Database, NatsServer, running_nats

EVERYWHERE = "0.0.0.0"
LEASE = timedelta(seconds=4)
RUNS = 5  # in a round, for two machines: some wait
ROUNDS = int(os.environ.get("COMFYPLUS_SOAK_ROUNDS", "30"))
SEED = int(os.environ.get("COMFYPLUS_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
PATIENCE_S = 180.0


class Machine(Struct, frozen=True):
    """`name`: of its executor."""

    name: str
    place: Place
    comfyui: SandboxProcess


@pytest.fixture
def nats_everywhere(tmp_path: Path) -> Iterator[NatsServer]:
    with running_nats(tmp_path / "nats-server", EVERYWHERE) as server:
        yield server


@pytest.mark.soak
@pytest.mark.timeout(ROUNDS * (PATIENCE_S + 60))
async def test_cut_off_for_longer_than_the_lease_every_run_ends_once(
    database: Database, nats_everywhere: NatsServer, tmp_path: Path
) -> None:
    print(f"seed {SEED}", flush=True)
    async with (
        places(2) as (one, other),
        object_server(EVERYWHERE) as store,
        hall(database, nats_everywhere.url, tmp_path, LEASE, retries=20) as made,
        machine("gpu-1", one, nats_everywhere, store, tmp_path) as first,
        machine("gpu-2", other, nats_everywhere, store, tmp_path) as second,
    ):
        ways = (*WAYS, LOSSY) if await can_lose(one) else WAYS
        print(f"ways to cut: {', '.join(ways)}", flush=True)
        lost = 0
        for number in range(ROUNDS):
            chance = random.Random(f"{SEED} {number}")
            runs = [await made.submit(sleeping(chance.uniform(0.5, 4))) for _ in range(RUNS)]
            await asyncio.gather(*(cut_off(each, chance, ways) for each in (first, second)))
            stories = [await ended(made, run) for run in runs]
            for run, story in zip(runs, stories, strict=True):
                told_once(run, story, store, (first, second))
            lost += sum(len(story.lost) for story in stories)
            print(f"round {number}: {sum(len(story.lost) for story in stories)} attempts lost", flush=True)
    assert lost, "no cut has ever cost an attempt: they were too short to show anything"


async def cut_off(machine: Machine, chance: random.Random, ways: tuple[str, ...]) -> None:
    """Somewhere in the round, most of the time for longer than the lease."""
    way, longest = chance.choice(ways), LEASE.total_seconds()
    await asyncio.sleep(chance.uniform(0, 4))
    await machine.place.cut(way)
    await asyncio.sleep(chance.choice((0.3, 1.5, 2, 3)) * longest)
    await machine.place.mend(way)


async def ended(made: Hall, run: RunId) -> Story:
    deadline = time.monotonic() + PATIENCE_S
    while not (story := await made.story(run)).ends:
        assert time.monotonic() < deadline, f"the run {run} is not over"
        await asyncio.sleep(0.1)
    return story


def told_once(run: RunId, story: Story, store: ObjectServer, machines: tuple[Machine, ...]) -> None:
    """It has succeeded, once; what it shows is of the attempt that did, whole, and was made once."""
    (end,) = story.ends
    assert isinstance(end, RunSucceeded), end
    assert end.epoch == len(story.claimed_by) == len(story.lost) + 1, "an attempt has ended in silence"
    kept = [each.output for each in story.outputs if each.epoch == end.epoch]
    assert len(kept) == end.outputs == 1
    assert all(each.epoch <= end.epoch for each in story.outputs)
    assert story.outputs[-1].epoch == end.epoch, "an output of a stale attempt came after the last"
    assert str(attempt_id(run, end.epoch)).encode() in store.objects[kept[0].digest]
    for epoch in range(1, end.epoch + 1):
        folder = Path("base") / "output" / "comfyplus" / str(attempt_id(run, epoch))
        files = [path for each in machines for path in (each.comfyui.directory / folder).glob("*.png")]
        assert len(files) <= 1, f"attempt {epoch} was executed {len(files)} times"


@asynccontextmanager
async def machine(
    name: str, place: Place, nats: NatsServer, store: ObjectServer, folder: Path
) -> AsyncIterator[Machine]:
    store.opens = bool  # whatever dispatch has given out
    outside = urlsplit(nats.url_of(name))
    async with sandbox(within=place.within) as comfyui:
        settings = Settings(
            data=folder / name,
            executor=name,
            backend=f"of-{name}",
            nats_exec_url=outside._replace(netloc=outside.netloc.replace("127.0.0.1", place.host)).geturl(),
            api_url=store.url.replace("127.0.0.1", place.host),
            comfyui_url=comfyui.url,
            lease_s=LEASE.total_seconds(),
            beat_s=0.5,
            backend_private_addresses=True,
        )
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("COMFYPLUS_")}
        said = folder / f"{name}.log"
        with said.open("wb") as log:
            process = subprocess.Popen(  # noqa: ASYNC220  # it starts in a moment, and is killed by its handle
                (*place.within, sys.executable, "-m", "infra.processes", "execute"),
                cwd=ROOT,
                env=inherited | settings.to_environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Machine(name, place, comfyui)
            assert process.poll() is None, said.read_text()[-2000:]
        finally:
            process.kill()
            process.wait()
