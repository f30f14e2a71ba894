"""One sandbox for all tests that leave it alive; it behaves again after each."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.comfyui.client import Client, client
from tests.sandbox.process import SandboxProcess, sandbox


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting_sandbox() -> AsyncIterator[SandboxProcess]:
    async with sandbox() as started:
        yield started


@pytest.fixture
async def process(lasting_sandbox: SandboxProcess) -> AsyncIterator[SandboxProcess]:
    yield lasting_sandbox
    await lasting_sandbox.misbehave()


@pytest.fixture
async def server(process: SandboxProcess) -> AsyncIterator[Client]:
    async with client(process.url) as opened:
        yield opened
