"""A hundred people at once, each of whom submits and watches, on four backends: nothing fails, nothing grows, and
nobody waits long to be told that their run is accepted.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import linear_regression, quantiles
from typing import Any

import pytest
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect

from infra.up import ROOT
from tests.execution.workshop import sleeping
from tests.sandbox.process import sandbox
from tests.whole.people import OVER, Account, joined, person
from tests.whole.whole import OURS, PATIENCE_S, Whole, running

PEOPLE = 100
BACKENDS = 4
LOAD_S = float(os.environ.get("COMFYPLUS_SOAK_LOAD_S", "300"))
ARRIVING_S = 10.0  # within which they have all come
NODE_S = 0.4  # ten runs a second, on all backends together
SUBMIT_P99_S = 0.25
GROWTH_MIB_MIN = 4.0  # what a process keeps of each run it has seen comes to less
LOOK_S = 2.0
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Seen(Struct):
    """What came of it. `memory`: of each process, (seconds, MiB)."""

    submits_s: list[float] = []
    waits_s: list[float] = []
    ends: Counter[str] = Counter()
    steps: int = 0
    memory: dict[str, list[tuple[float, float]]] = {}
    load: list[float] = []


@pytest.mark.soak
@pytest.mark.timeout(LOAD_S + 600)
async def test_a_hundred_people_submit_and_watch_on_four_backends(tmp_path: Path) -> None:
    seen = Seen()
    with running(tmp_path / "data", COMFYPLUS_LEASE_S="45", COMFYPLUS_BEAT_S="10") as whole:
        async with more_backends(whole, BACKENDS - 1):
            accounts = [await joined(whole.url) for _ in range(PEOPLE)]
            watching = asyncio.create_task(watch_memory(whole, seen))
            stop_at = time.monotonic() + LOAD_S
            async with asyncio.TaskGroup() as group:
                for number, account in enumerate(accounts):
                    comes_in_s = ARRIVING_S * number / PEOPLE
                    group.create_task(busy(whole, account, seen, comes_in_s, stop_at))
            watching.cancel()
    p50, p99 = (quantiles(seen.submits_s, n=100)[place] * 1000 for place in (49, 98))
    slopes = {name: slope(points) for name, points in seen.memory.items()}
    print(f"{len(seen.submits_s)} runs in {LOAD_S:g} s, {dict(seen.ends)}, {seen.steps} steps seen")
    print(f"submit p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(seen.submits_s) * 1000:.0f} ms")
    print(
        f"run p50 {quantiles(seen.waits_s, n=100)[49]:.1f} s; load average {min(seen.load)} to {max(seen.load)}"
    )
    for name, points in seen.memory.items():
        print(f"{name}: {points[0][1]:.0f} to {points[-1][1]:.0f} MiB, {slopes[name]:+.1f} MiB a minute")
    assert seen.ends.keys() == {"succeeded"}
    assert seen.ends.total() == len(seen.submits_s) >= PEOPLE
    assert p99 <= SUBMIT_P99_S * 1000
    assert {name for name in OURS if slopes[name] > GROWTH_MIB_MIN} == set()


@asynccontextmanager
async def more_backends(whole: Whole, count: int) -> AsyncIterator[None]:
    """Beside the one that is there."""
    async with AsyncExitStack() as stack:
        for number in range(2, count + 2):
            backend = await stack.enter_async_context(sandbox())
            environment = {**os.environ, "COMFYPLUS_DATA": str(whole.data)}
            added = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "infra.cli",
                    "backends",
                    "add",
                    f"gpu-{number}",
                    "--url",
                    backend.url,
                ),
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
            )
            assert await added.wait() == 0
        yield


async def busy(whole: Whole, account: Account, seen: Seen, comes_in_s: float, stop_at: float) -> None:
    """One run after the other, each followed to its end."""
    await asyncio.sleep(comes_in_s)
    async with person(whole.url, account) as somebody, listening(whole, account) as socket:
        while time.monotonic() < stop_at:
            began = time.perf_counter()
            answer = await somebody.once("POST", "/runs", json={"graph": sleeping(NODE_S, steps=4)})
            seen.submits_s.append(time.perf_counter() - began)
            assert answer.status_code == 202, answer.text
            seen.ends[await ended(socket, answer.json()["id"], seen)] += 1
            seen.waits_s.append(time.perf_counter() - began)


@asynccontextmanager
async def listening(whole: Whole, account: Account) -> AsyncIterator[ClientConnection]:
    url = whole.url.replace("http:", "ws:") + "/api/v1/live"
    headers = {"Authorization": f"Bearer {account.token}"}
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        await socket.send(json.dumps({"op": "subscribe", "all": True}))
        yield socket


async def ended(socket: ClientConnection, run: str, seen: Seen) -> str:
    """How, as it is told."""
    while True:
        async with asyncio.timeout(PATIENCE_S):
            told: dict[str, Any] = json.loads(await socket.recv())
        seen.steps += told["type"] == "progress"
        if told["type"] == "state" and told["run"] == run and told["status"] in OVER:
            return str(told["status"])


async def watch_memory(whole: Whole, seen: Seen) -> None:
    began = time.monotonic()
    while True:
        seen.load.append(round(os.getloadavg()[0], 1))
        for name, pid in whole.pids().items():
            seen.memory.setdefault(name, []).append((time.monotonic() - began, resident_mib(pid)))
        await asyncio.sleep(LOOK_S)


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MIB


def slope(points: list[tuple[float, float]]) -> float:
    """MiB a minute, once everything has been touched: of the last two thirds."""
    settled = points[len(points) // 3 :]
    return linear_regression([at for at, _ in settled], [size for _, size in settled]).slope * 60
