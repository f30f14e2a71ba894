"""How much processor time processes have used, from /proc/<pid>/stat."""

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def used_s(pids: Iterable[int]) -> float:
    """Seconds of user and system time, with that of children that have ended."""
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in pids) / TICKS


def family(pid: int) -> list[int]:
    """A process and those it has started, such as PostgreSQL's sessions."""
    found = [pid]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(_stat(int(entry.name))[1]) == pid:
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def _stat(pid: int) -> list[str]:
    """The fields behind the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
