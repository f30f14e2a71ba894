"""What our processes load when they start."""

import subprocess
import sys

import pytest

LOOKING = """
import sys
from infra import start
from infra.settings import Settings
module, loaded = start.load(sys.argv[1], Settings())
print(*sorted({"aiohttp", "pydantic", "rich", "typer"} & set(sys.modules)))
import pydantic, rich
"""


@pytest.mark.parametrize("name", ["api", "execute", "errands"])
def test_a_process_loads_little_and_hides_nothing_for_good(name: str) -> None:
    looked = subprocess.run(
        (sys.executable, "-c", LOOKING, name), capture_output=True, check=False, text=True, timeout=60
    )
    assert (looked.stdout.strip(), looked.returncode) == ("", 0), looked.stderr
