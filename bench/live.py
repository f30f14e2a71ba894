"""live_p99_ms: from an executor that tells how far a run is until a watcher's socket has it.

2 000 WebSockets at one API process, each watching a run of its own; 20 accounts have 100 of them each. This process is
executor and watchers at once: 400 steps a second, one run after the other, each with the moment at which it was due
in it (open loop), so that whatever holds up the telling counts as well. Every step must arrive. The figure is the
median of three rounds' 99th percentiles; what decoding 400 messages a second in Python takes here is in it.
"""

import asyncio
import json
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from statistics import median
from uuid import UUID

import httpx
import jwt
import msgspec
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from adapters.identity.secrets import ServerSecrets
from adapters.nats.connection import Connection
from adapters.nats.executor_link import CLAIM_HEADER
from bench import people
from bench.figures import percentile, spread
from bench.row import Figure, Ground
from bench.servers import whole
from domain.ids import AccountId, Digest, RunId
from infra.settings import Settings, load_secret
from infra.wiring import nats, now
from services.ports.messages import Progress

WATCHERS = 2_000
OF_ONE = 100
RATE = 400  # steps a second
SECONDS = 5.0
ROUNDS = 3
AT_ONCE = 20  # connections being opened
PATIENCE_S = 30.0
PARAMETERS = {"checkpoint": "sandbox.safetensors", "prompt": "a fox"}


def measure(ground: Ground) -> Mapping[str, Figure]:
    _many_files()
    watchers = ground.count(WATCHERS, 40)
    with whole(ground.folder, "relay", "project", "api") as running:
        accounts = [people.join(running.url) for _ in range(max(1, watchers // OF_ONE))]
        watched = [(each, run) for each in accounts for run in _runs(each, min(OF_ONE, watchers))]
        rounds = uvloop.run(_rounds(running.settings, running.url, watched, ground))
    worst = [percentile(each, 0.99) * 1000 for each in rounds]
    halves = [percentile(each, 0.5) * 1000 for each in rounds]
    detail = (
        f"{spread(worst)}, p50 {spread(halves)}; {watchers} watchers, {RATE} steps/s open loop, "
        f"{len(rounds[0])} steps a round; ms"
    )
    return {"live_p99_ms": Figure(median(worst), detail)}


def _many_files() -> None:
    """As many as we may: ours, and those of the processes that we start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _runs(person: people.Person, count: int) -> list[str]:
    headers = {"Authorization": f"Bearer {person.token}"}
    body = {"runs": [PARAMETERS] * count}
    answer = httpx.post(f"{person.url}/api/v1/generate/batch", json=body, headers=headers, timeout=60)
    return list(answer.raise_for_status().json()["runs"])


class _Watchers:
    """`waits`: how long each step was on its way, in seconds."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def watch(self, socket: ClientConnection) -> None:
        async for message in socket:
            arrived = time.perf_counter()
            told = json.loads(message)
            if told["type"] == "progress":
                self.waits.append(arrived - told["value"])


async def _rounds(
    settings: Settings, url: str, watched: Sequence[tuple[people.Person, str]], ground: Ground
) -> list[list[float]]:
    watchers, places = _Watchers(), asyncio.Semaphore(AT_ONCE)
    target = url.replace("http", "ws", 1) + "/api/v1/live"

    async def open_one(stack: AsyncExitStack, person: people.Person, run: str) -> None:
        async with places:
            headers = {"Authorization": f"Bearer {person.token}"}
            opening = connect(target, additional_headers=headers, compression=None, proxy=None)
            socket = await stack.enter_async_context(opening)
            await socket.send(json.dumps({"op": "subscribe", "run": run}))
            while json.loads(await socket.recv())["type"] != "state":
                continue
            group.create_task(watchers.watch(socket))

    name = settings.executor
    async with (
        nats("bench", settings.nats_exec_url, inbox_prefix=f"_INBOX_{name}") as line,
        asyncio.TaskGroup() as group,
        AsyncExitStack() as stack,
    ):
        await asyncio.gather(*(open_one(stack, person, run) for person, run in watched))
        await _round(settings, line, watched, watchers, RATE)  # warm
        return [
            await _round(settings, line, watched, watchers, round(RATE * ground.seconds(SECONDS)))
            for _ in range(ground.rounds(ROUNDS))
        ]


async def _round(
    settings: Settings,
    line: Connection,
    watched: Sequence[tuple[people.Person, str]],
    watchers: _Watchers,
    steps: int,
) -> list[float]:
    secrets, expires = ServerSecrets(load_secret(settings)), now() + timedelta(hours=1)
    owners = {person.token: _account(person) for person, _ in watched}
    messages = []
    for number in range(steps):
        person, run = watched[number % len(watched)]
        id = RunId(UUID(run))
        claim = {CLAIM_HEADER: secrets.claim_token(id, 1, Digest("0" * 64), expires)}
        messages.append((f"progress.{owners[person.token]}.{run}.step", id, claim))
    watchers.waits.clear()
    begun = time.perf_counter() + 0.05
    for number, (subject, id, claim) in enumerate(messages):
        due_at = begun + number / RATE
        await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
        progress = Progress(run=id, epoch=1, percent=50.0, value=due_at)
        await line.client.publish(subject, msgspec.json.encode(progress), headers=claim)
    deadline = time.perf_counter() + PATIENCE_S
    while len(watchers.waits) < steps:
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{len(watchers.waits)} of {steps} steps have arrived.")
        await asyncio.sleep(0.01)
    return list(watchers.waits)


def _account(person: people.Person) -> AccountId:
    claims = jwt.decode(person.token, options={"verify_signature": False})
    return AccountId(UUID(claims["sub"]))
