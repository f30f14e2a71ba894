"""gateway_vs_direct, gateway_added_ms, gateway_idle_mb: what ComfyUI's clients pay for accounts and a durable queue.

The engine is one sandbox in which an EmptyImage takes 200 ms. The same clients (`bench.prompting`) are 1, 8 and 32 at
once, each with a socket and one prompt after the other: at the engine itself, and at the gateway of the whole product
that drives it; in turns. The ratio is that of prompts a second at 32 clients, what is added that of the medians of one
lone client, the rest is in the detail.

Then 5 000 sockets of 50 accounts are opened at one API process and left alone: what its memory grows by, told by
the kernel as its private memory.
"""

import asyncio
import resource
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import msgspec
import uvloop
from websockets.asyncio.client import connect

from bench import people
from bench.engine import engine
from bench.figures import ratio, spread
from bench.jobs import Done
from bench.prompting import Asked, work
from bench.row import Figure, Ground
from bench.servers import whole

NODE_S = 0.2
CLIENTS = (1, 8, 32)
PROMPTS = {1: 8, 8: 16, 32: 40}
ROUNDS = 2
SOCKETS = 5_000
OF_ONE = 100
AT_ONCE = 20


def measure(ground: Ground) -> Mapping[str, Figure]:
    with (
        engine(ground.folder / "engine") as machine,
        whole(ground.folder / "whole", comfyui_url=machine.url) as running,
    ):
        machine.slow_down("EmptyImage", NODE_S)
        ann = people.join(running.url)
        work(Asked(running.url, "/comfy", 2, 4, ann.token))  # warm
        rounds = {
            clients: [
                (
                    work(Asked(running.url, "/comfy", clients, prompts, ann.token)),
                    work(Asked(machine.url, "", clients, prompts)),
                )
                for _ in range(ground.rounds(ROUNDS))
            ]
            for clients in CLIENTS
            for prompts in (ground.count(PROMPTS[clients], clients),)
        }
    added = [our.p50_ms - direct.p50_ms for our, direct in rounds[1]]
    detail = "; ".join(_told(clients, pairs) for clients, pairs in rounds.items())
    many = rounds[CLIENTS[-1]]
    return {
        "gateway_vs_direct": Figure(ratio([o.rate for o, _ in many], [d.rate for _, d in many]), detail),
        "gateway_added_ms": Figure(median(added), spread(added)),
    }


def _told(clients: int, pairs: list[tuple[Done, Done]]) -> str:
    ours, direct = [our for our, _ in pairs], [each for _, each in pairs]
    return (
        f"{clients} at once: {spread([each.rate for each in ours])} prompts/s, p50 "
        f"{spread([each.p50_ms for each in ours])} ms; direct {spread([each.rate for each in direct])}, p50 "
        f"{spread([each.p50_ms for each in direct])} ms"
    )


def measure_idle(ground: Ground) -> Mapping[str, Figure]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sockets = ground.count(SOCKETS, 200)
    with whole(ground.folder, "relay", "project", "api") as running:
        accounts = [people.join(running.url) for _ in range(max(1, sockets // OF_ONE))]
        pids = msgspec.json.decode(
            (running.settings.data / "processes.json").read_bytes(), type=dict[str, int]
        )
        before = _private_mb(pids["api"])
        after = uvloop.run(_idle(running.url, accounts, sockets, pids["api"]))
    told = f"{sockets} sockets of {len(accounts)} accounts; before them the process had {before:.0f} MB"
    return {"gateway_idle_mb": Figure(after, told)}


async def _idle(url: str, accounts: list[people.Person], sockets: int, pid: int) -> float:
    places = asyncio.Semaphore(AT_ONCE)

    async def open_one(stack: AsyncExitStack, person: people.Person) -> None:
        async with places:
            headers = {"Authorization": f"Bearer {person.token}"}
            target = url.replace("http", "ws", 1) + "/comfy/ws"
            opening = connect(
                target, additional_headers=headers, compression=None, proxy=None, ping_interval=None
            )
            socket = await stack.enter_async_context(opening)
            if b"queue_remaining" not in str(await socket.recv()).encode():
                raise RuntimeError("The gateway does not greet.")

    async with AsyncExitStack() as stack:
        await asyncio.gather(
            *(open_one(stack, accounts[number % len(accounts)]) for number in range(sockets))
        )
        return _private_mb(pid)


def _private_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024
