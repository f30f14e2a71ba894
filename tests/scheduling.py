"""Which worker runs a test: those that share what is expensive to start stay together.

xdist's own groups (`--dist loadgroup`) do nothing under pytest 9.2, whose node ids a plugin can no longer change.
"""

from typing import Any
from zlib import crc32

from xdist.scheduler import LoadScopeScheduling

SLOWEST = (
    *("tests/http", "tests/whole", "tests/execution", "tests/whole/test_restore.py"),
    *("tests/projections/test_kills.py", "tests/whole/test_erasures.py", "tests/webhooks/test_faults.py"),
    *("tests/backup", "tests/story", "tests/integrators", "tests/embedded/test_whole.py", "tests/storage"),
    *("tests/projections", "tests/webhooks", "tests/nats", "tests/log"),
)
"""What takes longest is begun first: else one worker is left alone with it in the end."""

SHARING = ("whole", "http", "execution", "integrators", "comfyui", "sandbox")
"""Folders whose files share a running whole or a sandbox. Of all others each file may go its own way."""

PARTS = {"tests/http": 2}
"""So many workers share such a folder, each with a whole of its own: one alone would be the last to end."""

ALONE = ("tests/whole/test_restore.py", "tests/whole/test_erasures.py")
"""Files of such folders that start their own."""


class ByScope(LoadScopeScheduling):
    def __init__(self, config: Any, log: Any = None) -> None:
        config.option.loadscopereorder = False  # by the number of tests
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """The folder, a part of it, or the file."""
    file, folder = _place(nodeid)
    if folder.rpartition("/")[2] not in SHARING or file in ALONE:
        return file
    return f"{folder} {crc32(file.encode()) % PARTS[folder]}" if folder in PARTS else folder


def turn(nodeid: str) -> int:
    for place in _place(nodeid):
        if place in SLOWEST:
            return SLOWEST.index(place)
    return len(SLOWEST)


def _place(nodeid: str) -> tuple[str, str]:
    """Its file, and the folder of that."""
    file = nodeid.partition("::")[0]
    return file, file.rpartition("/")[0]
