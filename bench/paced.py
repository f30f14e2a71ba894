"""overhead_200ms_vs_direct: how busy the product keeps an engine whose runs take 200 ms.

The engine is one sandbox process in which an EmptyImage takes 200 ms. Directly: this process queues all prompts at
once and listens to the engine's WebSocket, so that the engine never waits for anybody. Ours: the whole product is
given as many runs at once. On both sides the rate is that from the first end to the last: of the message that a
prompt has succeeded, and of `run.succeeded` in the log, which follows the storing of its picture. In turns, after
a few runs to warm up; the figure is the median of the rounds' ratios.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from uuid import uuid4

import httpx
import psycopg
import uvloop
from websockets.asyncio.client import connect

from adapters.comfyui.client import Address, Client
from bench import people
from bench.engine import Engine, engine
from bench.figures import ratio, spread
from bench.row import Figure, Ground
from bench.servers import whole
from workflows.protocol import messages as told
from workflows.protocol.prompt import PromptRequest

NODE_S = 0.2
PROMPTS = 31
ROUNDS = 3
PATIENCE_S = 60.0

SUCCEEDED = """
SELECT recorded_at FROM log.events WHERE topic = 'run.succeeded.v1' AND notification_id > %s ORDER BY notification_id
"""


def measure(ground: Ground) -> Mapping[str, Figure]:
    prompts = ground.count(PROMPTS, 6)
    with (
        engine(ground.folder / "engine") as machine,
        whole(ground.folder / "whole", comfyui_url=machine.url) as running,
    ):
        machine.slow_down("EmptyImage", NODE_S)
        ann = people.join(running.url)
        workflows = people.keep(ann, [people.square(colour) for colour in range(1, prompts + 1)])
        log = str(running.settings.app_database_url)
        _ours(ann, workflows[:4], log)
        rounds = [
            (_ours(ann, workflows, log), uvloop.run(_direct(machine, prompts)))
            for _ in range(ground.rounds(ROUNDS))
        ]
    our, direct = [each for each, _ in rounds], [each for _, each in rounds]
    detail = f"jobs/s: ours {spread(our)}, direct {spread(direct)}; {prompts} jobs a round"
    return {"overhead_200ms_vs_direct": Figure(ratio(our, direct), detail)}


def _ours(ann: people.Person, workflows: list[str], log: str) -> float:
    headers = {"Authorization": f"Bearer {ann.token}"}
    with httpx.Client(base_url=ann.url, headers=headers, timeout=30) as http:
        answers = [http.post(f"/api/v1/workflows/{workflow}/runs", json={}) for workflow in workflows]
    first = min(answer.raise_for_status().json()["position"] for answer in answers)
    deadline = time.monotonic() + PATIENCE_S
    with psycopg.connect(log, autocommit=True) as connection:
        while len(ends := connection.execute(SUCCEEDED, (first,)).fetchall()) < len(workflows):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(ends)} of {len(workflows)} runs have succeeded.")
            time.sleep(0.1)
    at: list[datetime] = [moment for (moment,) in ends]
    return (len(at) - 1) / (at[-1] - at[0]).total_seconds()


async def _direct(machine: Engine, prompts: int) -> float:
    client_id, ends = uuid4().hex, list[float]()
    url = machine.url.replace("http", "ws", 1) + f"/ws?clientId={client_id}"
    async with httpx.AsyncHTTPTransport() as transport, connect(url, compression=None) as socket:
        client = Client(Address(machine.url), transport)
        for number in range(prompts):
            graph = people.square(0xFFFFFF - number)
            await client.submit(PromptRequest(prompt=graph, client_id=client_id, prompt_id=str(uuid4())))
        async with asyncio.timeout(PATIENCE_S):
            async for message in socket:
                if isinstance(told.decode_message(message), told.ExecutionSuccess):
                    ends.append(time.perf_counter())
                if len(ends) == prompts:
                    break
    return (prompts - 1) / (ends[-1] - ends[0])
