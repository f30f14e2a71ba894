"""Programs that are run by a copy of the process that starts them."""

import os
import random
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from infra.embedded.child import Child, ChildFailedError, Process, finish, start, wait_until_ready
from infra.embedded.lock import folder_lock
from tests.embedded.wholes import until
from tests.terminal import ALREADY_LOADED

PATIENCE_S = 30.0


def alone(scenario: Callable[[Path], None], folder: Path) -> None:
    """In a process with one thread, as the supervisor is; this one has more."""
    process = ALREADY_LOADED.Process(target=scenario, args=(folder,))
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode == 0
    process.close()


def forked(folder: Path, program: Callable[[], object], **environment: str) -> Process:
    return start(_child(folder, program, **environment))


def test_it_runs_in_its_own_place_and_says_what_it_says_in_its_log(tmp_path: Path) -> None:
    alone(_runs_in_its_own_place, tmp_path)


def _runs_in_its_own_place(folder: Path) -> None:
    print("half a line of ours", end="")  # still in our buffer, and not in the copy's

    def program() -> None:
        print(os.getcwd(), dict(os.environ), os.getsid(0) == os.getpid(), sys.stdin.read())
        print("and more", file=sys.stderr)

    assert forked(folder, program, ONLY="this").wait(PATIENCE_S) == 0
    assert (folder / "log").read_text() == f"{folder} {{'ONLY': 'this'}} True \nand more\n"


def test_how_it_ended_is_told(tmp_path: Path) -> None:
    alone(_ends_in_many_ways, tmp_path)


def _ends_in_many_ways(folder: Path) -> None:
    ways: list[tuple[Callable[[], object], int]] = [
        (lambda: None, 0),
        (lambda: sys.exit(3), 3),
        (lambda: sys.exit("refused, and why"), 1),
        (lambda: 1 / 0, 1),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
    ]
    for program, code in ways:
        assert forked(folder, program).wait(PATIENCE_S) == code
    assert "refused, and why\nTraceback" in (folder / "log").read_text()
    failing = _child(folder, lambda: sys.exit("no room"))
    with pytest.raises(ChildFailedError, match="no room"):
        finish(failing, start(failing))
    never = _child(folder, lambda: sys.exit("no room"), ready=False)
    with pytest.raises(ChildFailedError, match="no room"):
        wait_until_ready((never, start(never)))


def test_it_holds_nothing_that_we_hold(tmp_path: Path) -> None:
    alone(_holds_nothing, tmp_path)


def _holds_nothing(folder: Path) -> None:
    with folder_lock(folder / "data"), (folder / "open").open("w"):
        process = forked(
            folder, lambda: (print(sorted(map(int, os.listdir("/proc/self/fd")))), signal.pause())
        )
    try:
        until((folder / "log").read_text, "told")
        assert (folder / "log").read_text() == "[0, 1, 2, 3]\n"  # the last is by which the list was read
        with folder_lock(folder / "data"):
            pass
    finally:
        process.kill()
        assert process.wait(PATIENCE_S) == -signal.SIGKILL


def test_a_signal_that_comes_at_once_is_not_lost(tmp_path: Path) -> None:
    alone(_hears_at_once, tmp_path)


def _hears_at_once(folder: Path) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # ours, not the program's
    for _ in range(20):
        process = forked(folder, signal.pause)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == -signal.SIGTERM


def test_whoever_waits_in_vain_is_told(tmp_path: Path) -> None:
    alone(_is_waited_for, tmp_path)


def _is_waited_for(folder: Path) -> None:
    process = forked(folder, signal.pause)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    process.wait(PATIENCE_S)
    process.send_signal(signal.SIGTERM)  # to nobody


def test_two_copies_choose_different_ids_and_secrets(tmp_path: Path) -> None:
    alone(_choose, tmp_path)


def _choose(folder: Path) -> None:
    secrets.token_bytes()
    random.random()
    copies = [
        forked(folder, lambda: print(uuid7().hex[13:], secrets.token_hex(8), random.random()))
        for _ in range(20)
    ]
    for copy in copies:
        assert copy.wait(PATIENCE_S) == 0
    chosen = [line.split() for line in (folder / "log").read_text().splitlines()]
    assert all(len(set(column)) == len(copies) for column in zip(*chosen, strict=True))


def _child(folder: Path, program: Callable[[], object], ready: bool = True, **environment: str) -> Child:
    return Child(
        name="copy",
        program=program,
        cwd=folder,
        log=folder / "log",
        environment=environment,
        is_ready=lambda _pid: ready,
    )
