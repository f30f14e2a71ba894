"""The whole product as its user starts it, in a folder of its own, with hands on each of its processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from infra.embedded.dying import dying_with_us
from infra.settings import Settings
from infra.up import ROOT, RUNNING
from tests.embedded.wholes import lives, owner_url
from tests.servers import part

PATIENCE_S = 90.0  # other work may share the machine
LOOK_S = 0.01
OURS = ("api", "relay", "project", "dispatch", "errands", "execute")
EVERYTHING = (*OURS, "sandbox", "nats", "postgres")

SHORT = {
    "COMFYPLUS_PORT": "0",
    "COMFYPLUS_LEASE_S": "20",  # longer than a start takes on a busy machine: what is restarted keeps its runs
    "COMFYPLUS_BEAT_S": "1",
    "COMFYPLUS_SWEEP_S": "0.5",
    "COMFYPLUS_RETRY_PAUSE_S": "0.2",
    "COMFYPLUS_RETRIES": "8",  # many faults may hit the same run
    "COMFYPLUS_ACCESS_TOKEN_S": "86400",
}


class Whole:
    """`comfyplus up` on a data folder; the folder outlives the process."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self._environment = SHORT | environment
        self._process: subprocess.Popen[bytes] | None = None
        self._said = data.parent / f"{data.name}.up.log"

    # starting and ending

    def start(self) -> None:
        """Until the API is ready."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMFYPLUS_")}
        settings = self._environment | {"COMFYPLUS_DATA": str(self.data), "PYTHONUNBUFFERED": "1"}
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "infra.cli", "up"),
                cwd=ROOT,
                env=inherited | settings,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=dying_with_us(signal.SIGTERM),  # a test run that is killed leaves nothing running
            )
        until(self._is_ready, "ready")

    def stop(self) -> int:
        """Politely. Returns the exit code."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE_S)

    def kill_everything(self) -> None:
        """Power off: the supervisor first, so that nobody restarts anybody."""
        pids = self.pids()
        self._running().kill()
        self._running().wait()
        for pid in pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(lives, pids.values())), "dead")

    def revive(self) -> None:
        """Start it again where a test that failed has left it dead."""
        if self._running().poll() is not None:
            self.start()

    def close(self) -> None:
        part(self.owner_url)
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            self._process.kill()
            self._process.wait()

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def _is_ready(self) -> bool:
        assert self._running().poll() is None, self.said()
        return " answers at " in self.said()

    # looking

    def said(self) -> str:
        return self._said.read_text(errors="replace")

    @property
    def settings(self) -> Settings:
        """Those its processes were given."""
        lines = (self.data / RUNNING).read_text().splitlines()
        return Settings.from_environment(dict(line.split("=", 1) for line in lines))

    @property
    def url(self) -> str:
        return str(self.settings.public_url)

    @property
    def owner_url(self) -> str:
        return owner_url(self.data)

    @property
    def sandbox_url(self) -> str:
        """The sandbox keeps its port when it is restarted."""
        return f"http://127.0.0.1:{(self.data / 'sandbox' / 'port').read_text()}"

    @property
    def sandbox_outputs(self) -> Path:
        return self.data / "sandbox" / "output" / "comfyplus"

    def pids(self) -> dict[str, int]:
        return msgspec.json.decode((self.data / "processes.json").read_bytes(), type=dict[str, int])

    @property
    def spool(self) -> Path:
        """What the executor notes on its disk."""
        return self.data / "executor-local" / "spool" / "local"

    def objects(self) -> set[str]:
        """The digests in the object store."""
        return {path.name for path in (self.data / "objects").glob("??/*")}

    # hurting

    def kill(self, name: str) -> int:
        """kill -9. Returns the pid that died."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    @contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """They live, hold their connections and do nothing, as on a machine that swaps."""
        pids = [self.pids()[name] for name in names]
        with stopped(*pids):
            yield

    @contextmanager
    def unattended(self) -> Iterator[None]:
        """Nobody restarts what dies."""
        with stopped(self._running().pid):
            yield

    @contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """They are killed and stay away for a while."""
        with self.unattended():
            died = [self.kill(name) for name in names]
            until(lambda: not any(map(lives, died)), f"{names} dead")
            yield

    def forget_nats(self) -> None:
        shutil.rmtree(self.data / "nats" / "store")

    def forget_spool(self) -> None:
        shutil.rmtree(self.spool)


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def running(data: Path, **environment: str) -> Iterator[Whole]:
    whole = Whole(data, **environment)
    try:
        whole.start()
        yield whole
    finally:
        whole.close()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition that somebody else brings about."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not {what} within {PATIENCE_S:g} s"
        time.sleep(LOOK_S)
