"""Put the checkout on the virtual environment's path and the command `comfyplus` beside its python.

Run by `make setup` with the environment's python. A build backend would only do the same, and needs itself installed.
"""

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


def install() -> None:
    Path(sysconfig.get_path("purelib"), "comfyplus.pth").write_text(f"{ROOT}\n")
    command = Path(sysconfig.get_path("scripts"), "comfyplus")
    command.write_text(COMMAND.format(python=sys.executable))
    command.chmod(0o755)


if __name__ == "__main__":
    install()
