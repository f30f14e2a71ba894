"""A process of ours: started so that it dies with us, watched until it is ready, stopped politely, then firmly."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from infra.embedded.dying import dying_with_us
from infra.embedded.forked import fork

POLL_S = 0.005
LOG_LIMIT_BYTES = 16 * 2**20  # a log file larger than this is set aside when its process starts


class ChildFailedError(Exception):
    """A process ended, or was not ready in time; the message ends with the last lines it wrote."""


class Child(Struct, frozen=True, kw_only=True):
    """How to start one process and how to tell that it is ready.

    `before` clears the way, also for a restart; `is_ready` is given the process's pid.
    """

    name: str
    argv: tuple[str, ...] = ()
    program: Callable[[], object] | None = None
    """In place of `argv`: what a copy of our process does, with all that we have loaded."""
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


class Process(Protocol):
    """The face that executed and forked ones have in common, by `subprocess.Popen`'s names."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


Started: TypeAlias = tuple[Child, Process]


def start(child: Child) -> Process:
    """Start without waiting. Call from a thread that lives as long as the child should: its end kills the child."""
    child.log.parent.mkdir(parents=True, exist_ok=True)
    if child.log.exists() and child.log.stat().st_size > LOG_LIMIT_BYTES:
        child.log.replace(child.log.with_name(f"{child.log.name}.old"))
    child.before()
    with child.log.open("ab") as log:
        if child.program is not None:
            return fork(
                child.program,
                name=child.name,
                cwd=child.cwd,
                environment=child.environment,
                log=log.fileno(),
                death_signal=child.death_signal,
            )
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


def clearing_its_own_way(child: Child, cwd: Path) -> Child:
    """The same, but that `before` is the new process's work too, before its program: `start` does not wait for it."""

    def program() -> None:
        try:
            child.before()
        except ChildFailedError as error:
            raise SystemExit(str(error)) from error
        os.chdir(child.cwd)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(child.argv[0], child.argv, dict(child.environment))

    return replace(child, argv=(), program=program, cwd=cwd, before=lambda: None)


def wait_until_ready(*started: Started) -> None:
    """Raises ChildFailedError when any of them ends first, or is not ready after its `ready_s`."""
    since = time.monotonic()
    waiting = list(started)
    while waiting := [one for one in waiting if not _is_ready(*one, time.monotonic() - since)]:
        time.sleep(POLL_S)


def has_ended(process: Process) -> bool:
    """Look without touching `Popen`'s lock: a signal that raises while it is held would leave it held for ever."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def stop(child: Child, process: Process) -> int:
    """Ask it to end, kill it after `stop_s`. Returns its exit code."""
    if process.poll() is None:
        process.send_signal(child.stop_signal)
        try:
            process.wait(child.stop_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def finish(child: Child, process: Process) -> None:
    """Wait for one that ends by itself. Raises ChildFailedError where it says that it has failed."""
    if (code := process.wait()) != 0:
        raise ChildFailedError(_ended(child, code))


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


def _is_ready(child: Child, process: Process, waited_s: float) -> bool:
    if has_ended(process):
        raise ChildFailedError(_ended(child, process.wait()))
    if waited_s > child.ready_s:
        raise ChildFailedError(
            f"{child.name} was not ready within {child.ready_s:g} s.\n{last_lines(child.log)}"
        )
    return child.is_ready(process.pid)


def _ended(child: Child, code: int) -> str:
    return f"{child.name} ended with {code}.\n{last_lines(child.log)}"
