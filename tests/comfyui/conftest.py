"""What the contract is asked of: the sandbox, or the ComfyUI that COMFYUI_URL names."""

import os
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.comfyui.client import Client, Graph, client, colour, empty, node
from tests.sandbox.process import sandbox


def slow_on_sandbox() -> Graph:
    return {"10": node("SandboxSleep", seconds=20, steps=200, tag=str(colour()))}


def slow_on_comfyui() -> Graph:
    """Some seconds of work in many nodes, so that it can be interrupted between them."""
    graph = {"10": empty(colour(), 1400, 1400)}
    for number in range(11, 60):
        size = 1400 + number % 2 * 100
        graph[str(number)] = node(
            "ImageScale",
            image=[str(number - 1), 0],
            upscale_method="lanczos",
            width=size,
            height=size,
            crop="disabled",
        )
    graph["60"] = node("PreviewImage", images=["59", 0])
    return graph


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def address() -> AsyncIterator[str]:
    if url := os.environ.get("COMFYUI_URL"):
        yield url.rstrip("/")
    else:
        async with sandbox() as process:
            yield process.url


@pytest.fixture
async def server(address: str) -> AsyncIterator[Client]:
    async with client(address) as opened:
        yield opened


@pytest.fixture
def slow() -> Callable[[], Graph]:
    """A graph that runs for seconds and can be interrupted, another one each time."""
    return slow_on_comfyui if os.environ.get("COMFYUI_URL") else slow_on_sandbox
