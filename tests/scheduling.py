"""Which worker runs a test: those that share what is expensive to start stay together.

xdist's own groups (`--dist loadgroup`) do nothing under pytest 9.2, whose node ids a plugin can no longer change.
"""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

SLOWEST = (
    *("tests/whole/test_restore.py", "tests/whole", "tests/whole/test_erasures.py", "tests/http"),
    *("tests/projections", "tests/execution", "tests/story", "tests/backup", "tests/webhooks", "tests/nats"),
    "tests/storage",
)
"""What takes longest is begun first: else one worker is left alone with it in the end."""

SHARING = ("whole", "http", "execution", "integrators", "comfyui", "sandbox")
"""Folders whose files share a running whole or a sandbox. Of all others each file may go its own way."""

ALONE = ("tests/whole/test_restore.py", "tests/whole/test_erasures.py")
"""Files of such folders that start their own."""


class ByScope(LoadScopeScheduling):
    def __init__(self, config: Any, log: Any = None) -> None:
        config.option.loadscopereorder = False  # by the number of tests
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """The folder or the file."""
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder.rpartition("/")[2] in SHARING and file not in ALONE else file


def turn(nodeid: str) -> int:
    for place in (scope(nodeid), scope(nodeid).rpartition("/")[0]):
        if place in SLOWEST:
            return SLOWEST.index(place)
    return len(SLOWEST)
