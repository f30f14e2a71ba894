"""The table of folders and who may import whom, held against the code."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = {"domain", "workflows", "commands", "projections", "services", "adapters", "infra"}


def test_every_import_goes_in_an_allowed_direction() -> None:
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    linted = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout


def test_the_contracts_know_every_folder_of_the_product() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert folders == FOLDERS


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_packages_do_nothing_when_imported(folder: str) -> None:
    assert [path for path in (ROOT / folder).rglob("__init__.py") if path.read_text()] == []


def test_time_is_asked_in_one_place() -> None:
    asking = {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "datetime.now(" in path.read_text() and "sandbox" not in path.parts  # a program of its own
    }
    assert asking == {"infra/wiring.py"}
