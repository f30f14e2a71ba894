"""A program that a copy of our process runs: it finds loaded what we have loaded, and shares the memory of it."""

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from infra.embedded.dying import dying_with_us

POLL_S = 0.005
STREAMS = 3  # standard input, output and error
NAME_BYTES = 15  # of a process's name; the kernel keeps no more


class Forked:
    """As much of `subprocess.Popen` as those need who keep processes running."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(POLL_S)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:  # else its number may be somebody else's by now
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(
    program: Callable[[], object],
    *,
    name: str,
    cwd: Path,
    environment: Mapping[str, str],
    log: int,
    death_signal: int,
) -> Forked:
    """Run the program in a process of its own, which ends with it. `log`: where to write what it says.

    Nothing of ours reaches it but what is in memory: no file, no lock, no terminal, no signal handler. To be called
    by a process with one thread and no running loop: of all others only memory would be copied, with their locks.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else both would write what still waits there
    prepare = dying_with_us(death_signal)
    # A signal that comes while our handlers are still the copy's would be lost there.
    ours = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _run(program, prepare, (name, cwd, environment, log, ours))
        return Forked(pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ours)


def _run(
    program: Callable[[], object],
    prepare: Callable[[], None],
    place: tuple[str, Path, Mapping[str, str], int, set[int | signal.Signals]],
) -> NoReturn:
    """In the copy. It must not return: who called us has things open that are not for the copy to close."""
    code = 1
    try:
        prepare()
        _move(*place)
        program()
        code = 0
    except SystemExit as asked:
        code = _exit_code(asked)
    except BaseException:  # the outermost frame of a process
        traceback.print_exc()
    finally:
        with suppress(OSError):
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        os._exit(code)


def _move(
    name: str, cwd: Path, environment: Mapping[str, str], log: int, mask: set[int | signal.Signals]
) -> None:
    os.setsid()  # Ctrl-C in the terminal is for our parent, which stops us in order
    _name(name)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for number in [int(entry) for entry in os.listdir("/proc/self/fd") if int(entry) >= STREAMS]:
        with suppress(OSError):  # by which the list was read
            os.close(number)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _name(name: str) -> None:
    """What `ps -e` and `top` show."""
    Path("/proc/self/comm").write_bytes(name.encode()[:NAME_BYTES])


def _exit_code(asked: SystemExit) -> int:
    if asked.code is None or isinstance(asked.code, int):
        return asked.code or 0
    print(asked.code, file=sys.stderr)
    return 1
