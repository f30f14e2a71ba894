"""Everything around an executor: dispatch in memory, a real object server, a real sandbox, and graphs to run."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct
from msgspec.structs import replace

from adapters.comfyui.backend import ComfyUIBackend
from adapters.comfyui.client import Address
from adapters.imaging.thumbnails import PillowImaging
from adapters.models.folder import DiskModels
from adapters.objects.claim_objects import HttpClaimObjects
from adapters.outbound.guard import Guard
from adapters.outbound.transport import KeptTransport
from adapters.spool.disk import DiskSpool
from domain.ids import AttemptId
from infra.lines import Ways, line
from services.execution.executor import Executor
from services.execution.settings import ExecutorSettings
from services.ports.backend import BackendLink
from services.ports.executing import DispatchLink
from tests.execution.store import ObjectServer

QUICK = ExecutorSettings(
    beat_s=0.1,
    claim_poll_s=0.1,
    look_s=0.2,
    health_s=0.5,
    retry_s=0.2,
    backend_patience_s=3.0,
    drain_s=0.2,
    farewell_s=1.0,
    inventory_s=1.0,
    flap_s=1.0,
)

Graph = dict[str, Any]
COLORS = count(1000)


def picture(prefix: str = "ComfyUI", **changes: Any) -> Graph:
    """Unlike every other, so that the backend's cache does not answer, but for what is changed."""
    image = {"width": 64, "height": 64, "batch_size": 1, "color": next(COLORS)} | changes
    return {
        "1": {"class_type": "EmptyImage", "inputs": image},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def sleeping(seconds: float, steps: int = 20) -> Graph:
    graph = picture()
    graph["3"] = {
        "class_type": "SandboxSleep",
        "inputs": {"seconds": seconds, "steps": steps, "image": ["1", 0]},
    }
    graph["2"]["inputs"]["images"] = ["3", 0]
    return graph


def failing(message: str = "failed on purpose") -> Graph:
    graph = picture()
    graph["3"] = {"class_type": "SandboxFail", "inputs": {"message": message, "image": ["1", 0]}}
    graph["2"]["inputs"]["images"] = ["3", 0]
    return graph


class SharedSandbox(Struct, frozen=True):
    """A sandbox that outlives the test."""

    url: str
    directory: Path

    async def misbehave(self, **faults: Any) -> None:
        """Exchange all switches; without arguments it behaves."""
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            answer = await client.post(f"{self.url}/sandbox/faults", json=faults)
            answer.raise_for_status()

    def saved(self, attempt: AttemptId) -> list[Path]:
        return list((self.directory / "base" / "output" / "comfyplus" / str(attempt)).glob("*.png"))


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that only asking can tell."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


class Running:
    """An executor at work. `kill` leaves everything as it is; `quit` is the polite way."""

    def __init__(self, executor: Executor, task: asyncio.Task[None], stop: asyncio.Event) -> None:
        self._executor = executor
        self._task = task
        self._stop = stop

    async def kill(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def quit(self) -> None:
        self._stop.set()
        await self._task


@asynccontextmanager
async def executor(
    dispatch: DispatchLink,
    store: ObjectServer,
    folder: Path,
    backends: Sequence[str | BackendLink],
    models: Path | DiskModels | None = None,
    *,
    spool: DiskSpool | None = None,
    name: str = "gpu-1",
    backend: str = "backend",
    **changes: Any,
) -> AsyncIterator[Running]:
    """An executor over backends, or their addresses. Afterwards it is killed, if it has not ended.

    `models`: the first backend's models folder.
    """
    seen = DiskModels(models) if isinstance(models, Path) else models
    transport, imaging, spool = KeptTransport(), PillowImaging(), spool or DiskSpool(folder / "spool")
    guard = Guard(private=True)
    ways = Ways(transport, transport, guard)
    work = Executor(
        name=name,
        backends=[
            ComfyUIBackend(f"{backend}-{number}", Address(each), transport) if isinstance(each, str) else each
            for number, each in enumerate(backends)
        ],
        link=dispatch,
        objects=HttpClaimObjects(store.url, transport),
        imaging=imaging,
        spool=spool,
        settings=replace(QUICK, **changes),
        connect=lambda order: line(order, ways),
        folders={} if seen is None else {f"{backend}-0": seen},
    )
    stop = asyncio.Event()
    running = Running(work, asyncio.create_task(work.run(stop)), stop)
    try:
        yield running
    finally:
        await running.kill()
        await transport.aclose()
        imaging.close()
        spool.close()
        guard.close()
        if seen is not None:
            seen.close()
