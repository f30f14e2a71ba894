"""Running the sandbox as a process of its own."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Generator
from pathlib import Path

import uvicorn

from infra.sandbox.app import Application
from infra.sandbox.settings import SandboxSettings
from infra.sandbox.state import Sandbox

PR_SET_PDEATHSIG = 1
SWITCH_INTERVAL_S = 0.0005  # the worker thread and the event loop hand over to each other in every message


class _Server(uvicorn.Server):
    """SIGTERM ends the process at once, as it does the original; SIGINT lets it finish."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = self.force_exit = True


def serve(settings: SandboxSettings) -> None:
    """Serve until SIGINT. Says where on standard output and in `port_file` once it answers."""
    if settings.die_with_parent:
        die_with_parent()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    listening = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((settings.host, settings.port))
    listening.set_inheritable(True)
    uvicorn_loop = "uvloop" if sys.platform != "win32" else "asyncio"
    with asyncio.Runner(loop_factory=_loop_factory(uvicorn_loop)) as runner:
        runner.run(_serve(settings, listening))


def _loop_factory(name: str) -> "type[asyncio.AbstractEventLoop] | None":
    if name != "uvloop":
        return None
    import uvloop

    return uvloop.Loop


async def _serve(settings: SandboxSettings, listening: socket.socket) -> None:
    sandbox = Sandbox(settings)
    config = uvicorn.Config(
        Application(sandbox),
        ws="websockets-sansio",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_ping_interval=None,  # the original never pings
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    delivery = asyncio.create_task(sandbox.sockets.deliver())
    sandbox.start_worker()
    announcing = asyncio.create_task(_announce(settings, server, listening))
    try:
        await server.serve(sockets=[listening])
    finally:
        announcing.cancel()
        delivery.cancel()
        sandbox.folders.empty_temp()


async def _announce(settings: SandboxSettings, server: uvicorn.Server, listening: socket.socket) -> None:
    while not server.started:
        await asyncio.sleep(0.002)
    port = listening.getsockname()[1]
    if settings.port_file is not None:
        _write_whole(settings.port_file, str(port))
    print(f"sandbox listening on http://{settings.host}:{port}", flush=True)


def _write_whole(path: Path, text: str) -> None:
    """Whoever waits for the file never sees half of it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def die_with_parent() -> None:
    """Ask the kernel (Linux) for SIGKILL when the parent ends; end at once if it already has."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
