"""Where there is room in memory, what tests write is kept there: they copy hundreds of databases and drop them again,
which a disk takes ten times as long for.
"""

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 * 2**30  # several times what is there at one moment


def keep_in_memory() -> None:
    """Before anything is made. `TMPDIR` says otherwise; processes that tests start go by it too."""
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # perhaps it has been looked for already


def _has_room() -> bool:
    try:
        facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(facts["MemAvailable"].split()[0]) * 1024
        return min(available, shutil.disk_usage(MEMORY).free) >= ROOM_BYTES and os.access(MEMORY, os.W_OK)
    except (OSError, KeyError):
        return False
