"""One program at a time in a data folder, and a gate that its parts wait at."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FolderTakenError(Exception):
    """Another program works in this data folder."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the folder until the block ends or the process dies. Raises FolderTakenError at once."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "lock"
    # not inheritable (Python's default), so no child keeps the folder after we are gone
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            raise FolderTakenError(
                f"{folder} is in use by process {holder}. Stop it, or set COMFYPLUS_DATA to another folder."
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def closed_gate(path: Path) -> Iterator[None]:
    """While the block runs, `pass_gate` waits. Our death opens the gate too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def pass_gate(path: Path | None) -> None:
    """Wait until what the program needs is there. To be called when all is loaded, so that loading costs no time."""
    if path is not None and path.exists():
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
