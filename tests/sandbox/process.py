"""The sandbox as a process of its own, as tests and benches want it."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
START_S = 20


class SandboxProcess:
    """A running sandbox. Its port and directory stay the same over `kill` and `start`.

    `within`: what its command begins with, where it runs in a place of its own.
    """

    def __init__(self, directory: Path, options: list[str], within: Sequence[str] = ()) -> None:
        self.directory = directory
        self._options = options
        self._within = within
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None  # asyncio's would be bound to one event loop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        port_file = self.directory / "port"
        port_file.unlink(missing_ok=True)
        process = self._process = self._spawn(port_file)
        async with asyncio.timeout(START_S):
            while not port_file.exists():
                assert process.poll() is None, "the sandbox ended while it started"
                await asyncio.sleep(0.01)
        self._port = int(port_file.read_text())

    def _spawn(self, port_file: Path) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "infra.sandbox", "--die-with-parent", "--port", str(self._port)]
        places = ["--directory", str(self.directory / "base"), "--port-file", str(port_file)]
        return subprocess.Popen(
            [*self._within, *command, *places, *self._options],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Returns the exit code, also of a process that has already ended by itself."""
        assert self._process is not None
        self._process.send_signal(how)  # no-op once it has been waited for
        return await self.ended()

    async def ended(self) -> int:
        """Wait for it to end by itself. Returns the exit code."""
        assert self._process is not None
        async with asyncio.timeout(START_S):
            while (code := self._process.poll()) is None:
                await asyncio.sleep(0.005)
        return code

    async def misbehave(self, **faults: Any) -> None:
        """Exchange all switches; without arguments it behaves."""
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            answer = await client.post(f"{self.url}/sandbox/faults", json=faults)
            answer.raise_for_status()


@asynccontextmanager
async def sandbox(*options: str, within: Sequence[str] = (), **faults: Any) -> AsyncIterator[SandboxProcess]:
    """Start a sandbox on a free port; it and its files are gone afterwards. `options`: more for its command line."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as directory:
        process = SandboxProcess(Path(directory), list(options), within)
        await process.start()
        try:
            if faults:
                await process.misbehave(**faults)
            yield process
        finally:
            await process.kill()
