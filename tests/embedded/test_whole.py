"""The embedded servers under supervision: killed, restarted, in odd places, as different users."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from infra.embedded.lock import FolderTakenError, closed_gate, folder_lock, pass_gate
from infra.embedded.ports import choose_port, free_port, is_free
from infra.embedded.unprivileged import unprivileged
from infra.up import ROOT
from tests.embedded.wholes import answers, lives, owner_url, start_whole, until, whole

NOBODY = 65534


def test_killing_the_supervisor_leaves_no_orphan_and_keeps_the_data(tmp_path: Path) -> None:
    with whole(tmp_path) as first:
        with psycopg.connect(owner_url(tmp_path)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 41 + 1 AS answer")
        pids = first.pids()
        first.process.kill()
        until(lambda: not any(map(lives, pids.values())), "all children gone")
    with whole(tmp_path), psycopg.connect(owner_url(tmp_path)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_restart_at_once_after_a_kill_waits_for_what_is_left(tmp_path: Path) -> None:
    for _ in range(3):
        with whole(tmp_path) as running:
            assert answers(running.database)


def test_locks_that_a_killed_server_left_may_name_a_living_process(tmp_path: Path) -> None:
    sockets = Path(parse_qs(urlsplit(owner_url(tmp_path)).query)["host"][0])
    locks = (tmp_path / "postgres" / "postmaster.pid", sockets / ".s.PGSQL.5432.lock")
    with whole(tmp_path) as running:
        pids = running.pids()
        before = [lock.read_text().partition("\n") for lock in locks]
    until(lambda: not any(map(lives, pids.values())), "all children gone")
    prefix = unprivileged(Path(sys.executable))  # whom PostgreSQL may send signals to
    with subprocess.Popen((*prefix, "sleep", "600")) as somebody:
        try:
            for lock, (_, _, rest) in zip(locks, before, strict=True):
                lock.write_text(f"{somebody.pid}\n{rest}")
            with whole(tmp_path) as running:
                assert answers(running.database)
        finally:
            somebody.kill()


def test_a_killed_server_comes_back_where_it_was(tmp_path: Path) -> None:
    with whole(tmp_path) as running:
        before = running.pids()
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        until(lambda: not before.items() & running.pids().items(), "all of them restarted")
        until(lambda: answers(running.database), "the database back at the same address")
        until(lambda: _listens(running.nats), "nats back at the same address")


def test_it_stops_cleanly_when_asked(tmp_path: Path) -> None:
    with whole(tmp_path) as running:
        pids = running.pids()
        running.process.send_signal(signal.SIGINT)
        assert (
            running.process.wait(60) == 0
        )  # PostgreSQL syncs its files first, and others may keep the disk busy
        assert not any(map(lives, pids.values()))
    assert not (tmp_path / "processes.json").exists()
    assert "database system is shut down" in (tmp_path / "log" / "postgres.log").read_text()


def test_a_second_program_in_the_same_folder_is_told_who_is_there(tmp_path: Path) -> None:
    with whole(tmp_path) as running:
        second = start_whole(tmp_path)
        _, error = second.communicate(timeout=30)
        assert second.returncode == 1
        assert f"in use by process {running.process.pid}" in error
        assert answers(running.database)


@pytest.mark.parametrize("name", ["with a space", "comma, and 'quotes' \"too\"", "long/" * 30])
def test_any_data_folder_will_do(tmp_path: Path, name: str) -> None:
    with whole(tmp_path / name) as running:
        assert answers(running.database)


def test_an_ordinary_user_can_run_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with whole(data, _as_ordinary_user(data)) as running:
        assert Path(f"/proc/{running.pids()['postgres']}").stat().st_uid != 0
        assert answers(running.database)
        assert _listens(running.nats)


def test_root_can_run_it_where_user_namespaces_are_forbidden_and_later_where_they_are_not(
    tmp_path: Path,
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in filter(shutil.which, ("setpriv",)):
        (programs / name).symlink_to(str(shutil.which(name)))
    for path in (str(programs), os.environ["PATH"], str(programs)):
        with whole(tmp_path / "data", PATH=path) as running:
            assert answers(running.database)


def test_the_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    with (
        folder_lock(tmp_path),
        pytest.raises(FolderTakenError, match=str(os.getpid())),
        folder_lock(tmp_path),
    ):
        pass
    with folder_lock(tmp_path):
        pass


def test_programs_wait_at_the_gate_until_it_opens(tmp_path: Path) -> None:
    waiting = Thread(target=pass_gate, args=(tmp_path / "gate",))
    with closed_gate(tmp_path / "gate"):
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(10)
    assert not waiting.is_alive()
    pass_gate(tmp_path / "gate")


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert choose_port("127.0.0.1", port) != port
    assert choose_port("127.0.0.1", port) == port


def test_a_chosen_port_is_kept_for_its_server_and_chosen_by_nobody_else() -> None:
    port = free_port()
    elsewhere = f"from infra.embedded.ports import _keep; print(_keep('127.0.0.1', {port}))"
    command = (sys.executable, "-c", elsewhere)
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout == b"False\n"
    for address in ("127.0.0.1", "0.0.0.0"):
        for _ in range(2):  # it may be started again
            with (
                socket.create_server((address, port)) as server,
                socket.create_connection(server.getsockname()),
            ):
                assert not is_free("127.0.0.1", port)


def _as_ordinary_user(data: Path) -> tuple[str, ...]:
    """How to start as one: root becomes one, but may still read a checkout that is closed to others."""
    if os.geteuid() != 0:
        return ()
    os.chown(data, NOBODY, NOBODY)
    keep = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *keep, "--")


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=1).close()
    except OSError:
        return False
    return True
