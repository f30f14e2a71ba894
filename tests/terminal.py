"""The command line as people call it, over a database of the test's own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from infra.up import ROOT
from tests.servers import Database

PATIENCE_S = 60.0
ALREADY_LOADED = get_context("forkserver")
"""Each call is a process of its own, but loading what it needs takes longer than what it does."""
ALREADY_LOADED.set_forkserver_preload(
    [
        *("infra.cli", "infra.operate", "infra.replay", "infra.stream"),
        *("infra.gate", "infra.backends", "infra.queue", "adapters.nats.connection"),
        *("infra.backup.make", "infra.backup.restore"),
        *("tests.projections.builder", "tests.webhooks.process", "adapters.storage.s3"),
        "typer._adapters",  # which typer loads when the first command is called, with the whole of pydantic
    ]
)


class Terminal:
    def __init__(self, database: Database, folder: Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMFYPLUS_")}
        self._environment = inherited | {
            "COMFYPLUS_DATA": str(folder),
            "COMFYPLUS_SECRET": "a secret that only tests know, long enough",
            "COMFYPLUS_APP_DATABASE_URL": database.url_of("comfyplus_app"),
            "COMFYPLUS_PROJECT_DATABASE_URL": database.url_of("comfyplus_project"),
            "COLUMNS": "200",
        }
        self._said = folder / "said"

    def call(self, *words: str, code: int = 0) -> str:
        """What it says, on either channel."""
        process = begun(words, self._environment, self._said)
        process.join(PATIENCE_S)
        ended = process.exitcode
        if ended is None:
            process.kill()
            process.join()
        process.close()
        said = self._said.read_text()
        assert ended == code, said
        assert "Traceback" not in said
        return said

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            (sys.executable, "-m", "infra.cli", *words),
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture
def terminal(database: Database, tmp_path: Path) -> Terminal:
    return Terminal(database, tmp_path)


def begun(words: tuple[str, ...], environment: Mapping[str, str], said: Path) -> BaseProcess:
    """The command, called and not waited for; what it says goes into the file."""
    process = ALREADY_LOADED.Process(target=_called, args=(words, dict(environment), said))
    process.start()
    return process


def _called(words: tuple[str, ...], environment: dict[str, str], said: Path) -> None:
    """In the new process."""
    from infra.cli import main

    target = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for channel in (1, 2):
        os.dup2(target, channel)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["comfyplus", *words]
    main()
