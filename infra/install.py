"""Put the checkout on the virtual environment's path and the command `comfyplus` beside its python; compile both.

Run by `make setup` with the environment's python. A build backend would only do the same, and needs itself installed.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

COMMAND = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
from infra.cli import main

main()
"""

LOADED = """
import infra.cli, infra.demo, infra.migrate, infra.sandbox.server, infra.up
from infra.processes import api, dispatch, errands, execute, project, relay
from PIL import Image
Image.init()
"""


def install() -> None:
    Path(sysconfig.get_path("purelib"), "comfyplus.pth").write_text(f"{ROOT}\n")
    command = Path(sysconfig.get_path("scripts"), "comfyplus")
    command.write_text(COMMAND.format(python=sys.executable))
    command.chmod(0o755)
    compile_what_is_loaded()


def compile_what_is_loaded() -> None:
    """By loading it: a twentieth of what is installed. Our processes start together, and would each compile it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run((sys.executable, "-c", LOADED), cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    install()
