"""`python -m bench.wrapper`: a stateless asynchronous wrapper around a ComfyUI, as one would write it in a day.

`POST /jobs` with a graph: it queues the graph, follows ComfyUI's WebSocket until the prompt is over, asks for its
history, fetches the picture, and answers with it. One WebSocket for all jobs. It is made of the same server, the
same settings and the same ComfyUI client as the product; it keeps nothing, checks nothing, and forgets everything
when it ends.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import uvloop
from litestar import Litestar, Request, Response, post
from litestar.datastructures import State
from websockets.asyncio.client import connect

from adapters.comfyui.client import Address, Client
from infra.processes.api import server
from infra.settings import Settings
from workflows.protocol import messages as told
from workflows.protocol.history import output_files
from workflows.protocol.prompt import PromptRequest

IDLE_S = 4.0  # the sandbox closes an idle connection after five seconds


class Follower:
    """Hears which prompts are over."""

    def __init__(self, url: str) -> None:
        self.client_id = uuid4().hex
        self._url = url.replace("http", "ws", 1) + f"/ws?clientId={self.client_id}"
        self._over: dict[str, asyncio.Future[None]] = {}

    def expect(self, prompt: str) -> asyncio.Future[None]:
        self._over[prompt] = asyncio.get_running_loop().create_future()
        return self._over[prompt]

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        async with connect(self._url, compression=None) as socket:
            task = asyncio.create_task(self._follow(socket))
            yield
            task.cancel()

    async def _follow(self, socket: Any) -> None:
        async for message in socket:
            if isinstance(message, bytes):
                continue
            match told.decode_message(message):
                case told.ExecutionSuccess(body) if waiting := self._over.pop(body.prompt_id, None):
                    waiting.set_result(None)


@post("/jobs", status_code=200)
async def job(request: Request[Any, Any, Any]) -> Response[bytes]:
    follower, client = request.app.state.follower, request.app.state.client
    prompt, graph = str(uuid4()), msgspec.json.decode(await request.body())
    over = follower.expect(prompt)
    await client.submit(PromptRequest(prompt=graph, client_id=follower.client_id, prompt_id=prompt))
    await over
    while (result := await client.history(prompt)) is None:
        await asyncio.sleep(0.001)  # it is written after the message is sent
    (picture,) = (file for output in result.outputs.values() for _, file in output_files(output))
    return Response(await client.view(picture, 1 << 24), media_type="image/png")


async def run(engine: str, port: int) -> None:
    follower = Follower(engine)
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=IDLE_S)
    async with httpx.AsyncHTTPTransport(limits=limits) as transport, follower.following():
        state = State({"follower": follower, "client": Client(Address(engine), transport)})
        app = Litestar([job], openapi_config=None, state=state, logging_config=None)
        await server(app, Settings(port=port)).serve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    uvloop.run(run(chosen.engine, chosen.port))


if __name__ == "__main__":
    main()
