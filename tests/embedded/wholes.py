"""Starting that program, and looking at what it leaves behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
from msgspec import Struct

from infra.embedded.postgres import prepare_postgres
from infra.settings import Settings
from infra.up import ROOT

PATIENCE_S = 30


class Whole(Struct, frozen=True):
    process: subprocess.Popen[str]
    data: Path
    database: str
    nats: str

    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = json.loads((self.data / "processes.json").read_text())
        return pids


def start_whole(data: Path, prefix: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (*prefix, sys.executable, "-m", "tests.embedded.whole"),
        cwd=ROOT,
        env=dict(os.environ) | Settings(data=data).to_environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def whole(data: Path, prefix: tuple[str, ...] = (), **environment: str) -> Iterator[Whole]:
    """Killed in the end, if the test has not done that yet."""
    process = start_whole(data, prefix, **environment)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        told = json.loads(line)
        yield Whole(process, data, told["database"], told["nats"])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@cache
def owner_url(data: Path) -> str:
    return prepare_postgres(data, data / "log" / "postgres.log").url


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not {what} within {PATIENCE_S} s"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """A process that has ended but that nobody has asked about yet does not live."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False
