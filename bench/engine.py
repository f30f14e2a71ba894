"""The sandbox as engine: one process, of its own folder, that both sides of a measurement drive."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
from msgspec import Struct

from bench.servers import ROOT, answers, environment, running
from infra.embedded.child import Child
from infra.embedded.ports import free_port
from infra.sandbox.settings import Faults


class Engine(Struct, frozen=True):
    url: str
    pid: int

    def slow_down(self, node: str, seconds: float) -> None:
        """Let one class of nodes take so much longer."""
        faults = msgspec.json.encode(Faults(node_time_s=seconds, slow_nodes=(node,)))
        httpx.post(f"{self.url}/sandbox/faults", content=faults).raise_for_status()


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    folder.mkdir(parents=True)
    port = free_port()
    options = ("--port", str(port), "--directory", str(folder / "comfyui"), "--preview-every", "0")
    child = Child(
        name="sandbox",
        argv=(sys.executable, "-m", "infra.sandbox", *options),
        cwd=ROOT,
        log=folder / "sandbox.log",
        environment=environment(),
        is_ready=lambda _: answers(port),
    )
    with running(child) as (pid,):
        yield Engine(f"http://127.0.0.1:{port}", pid)
