"""Which worker runs a test: those of one folder share what is expensive to start, so they stay together.

xdist's own groups (`--dist loadgroup`) do nothing under pytest 9.2, whose node ids a plugin can no longer change.
"""

from xdist.scheduler import LoadScopeScheduling


class ByFolder(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0].rpartition("/")[0]
