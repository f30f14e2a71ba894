from collections.abc import AsyncIterator

import pytest

from tests.execution.dispatch import MemoryDispatch
from tests.execution.store import ObjectServer, object_server
from tests.sandbox.process import SandboxProcess, sandbox


@pytest.fixture
def dispatch() -> MemoryDispatch:
    return MemoryDispatch()


@pytest.fixture
async def store() -> AsyncIterator[ObjectServer]:
    async with object_server() as opened:
        yield opened


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxProcess]:
    async with sandbox() as process:
        yield process
