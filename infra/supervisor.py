"""Keeps our processes running: each is restarted when it ends, whatever the reason, until all are stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from infra.embedded.child import Child, has_ended, start, wait_until_ready

LOOK_S = 0.05
FIRST_PAUSE_S = 0.2  # before the second restart in a row; it doubles
LONGEST_PAUSE_S = 5.0
STEADY_S = 10.0  # a process that lived this long starts with a clean slate


class Supervisor:
    """Starts children, restarts them, and stops those of the last stage first; `pids` is a file naming them all."""

    def __init__(self, pids: Path, say: Callable[[str], None]) -> None:
        self._pids = pids
        self._say = say
        self._kept: list[_Kept] = []

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, stage: int, *children: Child) -> None:
        """Start without waiting."""
        for child in children:
            self._kept.append(_Kept(child, stage))
        self._write_pids()

    def wait_until_ready(self, stage: int) -> None:
        """Raises ChildFailedError when one of the stage's children ends first or takes too long."""
        wait_until_ready(*((kept.child, kept.process) for kept in self._kept if kept.stage == stage))

    def watch(self, until: Callable[[], bool]) -> None:
        """Restart what ends."""
        while not until():
            self.look()
            time.sleep(LOOK_S)

    def look(self) -> None:
        """Restart what has ended since, where its pause is over."""
        changed = False
        for kept in self._kept:
            if not has_ended(kept.process):
                continue
            now = time.monotonic()
            if kept.restart_at is None:
                kept.plan_restart(now)
                code = kept.process.wait()
                self._say(f"{kept.child.name} ended ({_reason(code)}), see {kept.child.log}; restarting")
            if kept.restart_at is not None and now >= kept.restart_at:
                kept.restart()
                changed = True
        if changed:
            self._write_pids()

    def pid(self, name: str) -> int:
        """Raises KeyError for a name that is not one of the children's."""
        return {kept.child.name: kept.process.pid for kept in self._kept}[name]

    def stop(self) -> None:
        """Ask a stage to end, kill what does not, then the stage before it."""
        for number in sorted({kept.stage for kept in self._kept}, reverse=True):
            stage = [kept for kept in self._kept if kept.stage == number]
            for kept in stage:
                if not has_ended(kept.process):
                    kept.process.send_signal(kept.child.stop_signal)
            asked_at = time.monotonic()
            for kept in stage:
                _end(kept, asked_at + kept.child.stop_s)
        self._pids.unlink(missing_ok=True)

    def _write_pids(self) -> None:
        self._pids.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._pids.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode({kept.child.name: kept.process.pid for kept in self._kept}))
        fresh.replace(self._pids)


class _Kept:
    """A child, its present process, and when to start the next one."""

    def __init__(self, child: Child, stage: int) -> None:
        self.child = child
        self.stage = stage
        self.process = start(child)
        self.started_at = time.monotonic()
        self.failures = 0
        self.restart_at: float | None = None

    def plan_restart(self, now: float) -> None:
        if now - self.started_at >= STEADY_S:
            self.failures = 0
        pause = min(FIRST_PAUSE_S * 2 ** (self.failures - 1), LONGEST_PAUSE_S) if self.failures else 0.0
        self.failures += 1
        self.restart_at = now + pause

    def restart(self) -> None:
        self.process = start(self.child)
        self.started_at = time.monotonic()
        self.restart_at = None


def _end(kept: _Kept, deadline: float) -> None:
    try:
        kept.process.wait(max(deadline - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        os.kill(kept.process.pid, signal.SIGKILL)
        kept.process.wait()


def _reason(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
