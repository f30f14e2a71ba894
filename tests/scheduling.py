"""Which worker runs a test: those of one folder share what is expensive to start, so they stay together.

xdist's own groups (`--dist loadgroup`) do nothing under pytest 9.2, whose node ids a plugin can no longer change.
"""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

SLOWEST = ("whole", "http", "projections", "execution", "webhooks", "backup", "nats", "storage")
"""What takes longest is begun first: else one worker is left alone with it in the end."""


class ByFolder(LoadScopeScheduling):
    def __init__(self, config: Any, log: Any = None) -> None:
        config.option.loadscopereorder = False  # by the number of tests
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0].rpartition("/")[0]


def turn(nodeid: str) -> int:
    folder = nodeid.split("/")[1]
    return SLOWEST.index(folder) if folder in SLOWEST else len(SLOWEST)
