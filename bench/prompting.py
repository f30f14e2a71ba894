"""`python -m bench.prompting`: clients of ComfyUI, each with a socket of its own and one prompt after the other.

A prompt is posted, followed on the socket until `executing` names no node, looked up in the history, and its picture
fetched: at ComfyUI itself, or at the gateway, with the same requests.
"""

import asyncio
import subprocess
import sys
import time
from uuid import uuid4

import msgspec
import uvloop
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect

from bench.figures import percentile
from bench.jobs import Done, Line
from bench.people import square


class Asked(Struct, frozen=True):
    """`path`: what comes before ComfyUI's own paths."""

    origin: str
    path: str
    at_once: int
    prompts: int
    token: str = ""


def work(asked: Asked) -> Done:
    """Run the clients beside us and wait for what they did."""
    argv = (sys.executable, "-m", "bench.prompting")
    done = subprocess.run(
        argv, input=msgspec.json.encode(asked), stdout=subprocess.PIPE, check=True, timeout=300
    )
    return msgspec.json.decode(done.stdout, type=Done)


async def _prompt(socket: ClientConnection, asked: Asked, sid: str, colour: int) -> None:
    """A connection that idles for long is closed by servers: there is another one after the wait."""
    body = msgspec.json.encode({"prompt": square(colour), "client_id": sid})
    line = await Line(asked.origin, asked.token).open()
    id = msgspec.json.decode(await line.ask("POST", f"{asked.path}/prompt", body))["prompt_id"]
    line.close()
    while True:
        told = msgspec.json.decode(await socket.recv())
        if told["type"] == "executing" and told["data"]["node"] is None and told["data"]["prompt_id"] == id:
            break
    line = await Line(asked.origin, asked.token).open()
    entry = msgspec.json.decode(await line.ask("GET", f"{asked.path}/history/{id}"))[id]
    (file,) = entry["outputs"]["2"]["images"]
    query = "&".join(f"{name}={value}" for name, value in file.items())
    picture = await line.ask("GET", f"{asked.path}/view?{query}")
    if not picture.startswith(b"\x89PNG"):
        raise RuntimeError("What was shown is no picture.")
    line.close()


async def _work(asked: Asked) -> Done:
    took: list[float] = []
    colours = iter(range(int(time.time() * 1000) % 0xFFFF00, 0xFFFFFF + 0xFFFFFF))
    left = iter(range(asked.prompts))
    headers = {"Authorization": f"Bearer {asked.token}"} if asked.token else {}

    async def client() -> None:
        sid = uuid4().hex
        url = f"{asked.origin.replace('http', 'ws', 1)}{asked.path}/ws?clientId={sid}"
        async with connect(url, additional_headers=headers, compression=None, proxy=None) as socket:
            for _ in left:
                before = time.perf_counter()
                await _prompt(socket, asked, sid, next(colours) % 0xFFFFFF)
                took.append(time.perf_counter() - before)

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(asked.at_once)))
    return Done(len(took), time.perf_counter() - begun, percentile(took, 0.5) * 1000)


if __name__ == "__main__":
    wish = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_work(wish))))
