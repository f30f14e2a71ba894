"""A process of ours: started so that it dies with us, watched until it is ready, stopped politely, then firmly."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

PR_SET_PDEATHSIG = 1
POLL_S = 0.005
LOG_LIMIT_BYTES = 16 * 2**20  # a log file larger than this is set aside when its process starts


class ChildFailedError(Exception):
    """A process ended, or was not ready in time; the message ends with the last lines it wrote."""


class Child(Struct, frozen=True, kw_only=True):
    """How to start one process and how to tell that it is ready.

    `before` clears the way, also for a restart; `is_ready` is given the process's pid.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path
    log: Path
    environment: Mapping[str, str]
    before: Callable[[], None] = lambda: None
    is_ready: Callable[[int], bool] = lambda _pid: True
    ready_s: float = 30
    stop_signal: int = signal.SIGTERM
    death_signal: int = signal.SIGKILL  # sent by the kernel when our process is gone
    stop_s: float = 5
    can_wait: bool = False
    """Nobody needs it to be served: it is started when the others are ready, and does not compete with them."""


Started: TypeAlias = tuple[Child, subprocess.Popen[bytes]]


def start(child: Child) -> subprocess.Popen[bytes]:
    """Start without waiting. Call from a thread that lives as long as the child should: its end kills the child."""
    child.log.parent.mkdir(parents=True, exist_ok=True)
    if child.log.exists() and child.log.stat().st_size > LOG_LIMIT_BYTES:
        child.log.replace(child.log.with_name(f"{child.log.name}.old"))
    child.before()
    with child.log.open("ab") as log:
        return subprocess.Popen(
            child.argv,
            cwd=child.cwd,
            env=dict(child.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the children in order
            preexec_fn=dying_with_us(child.death_signal),
        )


def dying_with_us(death_signal: int) -> Callable[[], None]:
    """To be run in a new process before its program: the kernel sends it the signal when the caller is gone."""
    libc, parent = _libc(), os.getpid()

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return prepare


def wait_until_ready(*started: Started) -> None:
    """Raises ChildFailedError when any of them ends first, or is not ready after its `ready_s`."""
    since = time.monotonic()
    waiting = list(started)
    while waiting := [one for one in waiting if not _is_ready(*one, time.monotonic() - since)]:
        time.sleep(POLL_S)


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Look without touching `Popen`'s lock: a signal that raises while it is held would leave it held for ever."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def stop(child: Child, process: subprocess.Popen[bytes]) -> int:
    """Ask it to end, kill it after `stop_s`. Returns its exit code."""
    if process.poll() is None:
        process.send_signal(child.stop_signal)
        try:
            process.wait(child.stop_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def last_lines(path: Path, count: int = 12) -> str:
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace")[-16_384:].splitlines()[-count:])


def living_in(folder: Path, command: str) -> list[int]:
    """Processes of that name whose working directory is the folder: what an earlier, killed parent left behind."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().strip() == command and (entry / "cwd").resolve() == folder:
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


def wait_until_gone(folder: Path, command: str, patience_s: float = 10) -> None:
    """Wait for leftovers of a killed parent; they are ending already, but are killed when they take too long."""
    folder = folder.resolve()
    deadline = time.monotonic() + patience_s
    while left := living_in(folder, command):
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)


def _is_ready(child: Child, process: subprocess.Popen[bytes], waited_s: float) -> bool:
    if has_ended(process):
        raise ChildFailedError(f"{child.name} ended with {process.wait()}.\n{last_lines(child.log)}")
    if waited_s > child.ready_s:
        raise ChildFailedError(
            f"{child.name} was not ready within {child.ready_s:g} s.\n{last_lines(child.log)}"
        )
    return child.is_ready(process.pid)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
