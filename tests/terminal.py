"""The command line as people call it, over a database of the test's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.up import ROOT
from tests.servers import Database


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

    def call(self, *words: str, code: int = 0) -> str:
        """What it says, on either channel."""
        done = subprocess.run(
            (sys.executable, "-m", "infra.cli", *words),
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        said = done.stdout.decode()
        assert done.returncode == code, said
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
