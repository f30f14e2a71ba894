import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.execution.dispatch import MemoryDispatch
from tests.execution.store import ObjectServer, object_server
from tests.execution.workshop import SharedSandbox, eventually
from tests.sandbox.process import ROOT, SandboxProcess, sandbox


@pytest.fixture
def dispatch() -> MemoryDispatch:
    return MemoryDispatch()


@pytest.fixture
async def store() -> AsyncIterator[ObjectServer]:
    async with object_server() as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedSandbox]:
    """One process for all tests that do not kill it: starting one takes longer than most of them."""
    directory = tmp_path_factory.mktemp("sandbox")
    port_file = directory / "port"
    options = ["--directory", str(directory / "base"), "--port", "0", "--port-file", str(port_file)]
    command = [sys.executable, "-m", "infra.sandbox", *options, "--die-with-parent"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        port = _port(process, port_file)
        yield SharedSandbox(f"http://127.0.0.1:{port}", directory)
        process.kill()


@pytest.fixture
async def comfyui(shared_sandbox: SharedSandbox) -> AsyncIterator[SharedSandbox]:
    """A sandbox that behaves and has nothing to do."""
    await shared_sandbox.misbehave()
    yield shared_sandbox
    await shared_sandbox.misbehave()
    async with httpx.AsyncClient(base_url=shared_sandbox.url, verify=False, trust_env=False) as client:

        async def idle() -> bool:
            await client.post("/queue", json={"clear": True})
            await client.post("/interrupt")
            queue: dict[str, list[object]] = (await client.get("/queue")).json()
            return not any(queue.values())

        await eventually(idle)


@pytest.fixture
def models(comfyui: SharedSandbox) -> Path:
    """Without what others have brought."""
    for path in (comfyui.directory / "base" / "models" / "loras").glob("user-*/*"):
        path.unlink()
    return comfyui.directory / "base" / "models"


@pytest.fixture
async def mortal() -> AsyncIterator[SandboxProcess]:
    """A sandbox of the test's own, to be killed."""
    async with sandbox() as process:
        yield process


def _port(process: subprocess.Popen[bytes], port_file: Path) -> int:
    deadline = time.monotonic() + 20
    while not port_file.exists():
        assert process.poll() is None, "the sandbox ended while it started"
        assert time.monotonic() < deadline, "the sandbox did not start"
        time.sleep(0.01)
    return int(port_file.read_text())
