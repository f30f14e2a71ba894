"""What an executor must not forget, on its disk: a journal of small lines, and a file for each output.

It guards against a killed process, not against a dying machine: then the attempts' leases run out instead, and
dispatch repeats them. So nothing is synced.
"""

import asyncio
import errno
import fcntl
import logging
import os
import shutil
from pathlib import Path
from uuid import UUID

from msgspec import DecodeError, Struct, json

from domain.ids import AttemptId
from services.ports.executing import SpoolEntry, SpoolFullError

logger = logging.getLogger(__name__)

COMPACT_BYTES = 4 << 20
SMALL_BYTES = 256 << 10  # written at once: a thread would take longer
SPARE_BYTES = 16 << 20  # of the disk: less is not enough to begin something new
FULL = (errno.ENOSPC, errno.EDQUOT)


class Line(Struct, frozen=True, omit_defaults=True):
    """One line of the journal. Without an entry: forget the attempt."""

    attempt: UUID
    entry: SpoolEntry | None = None


class SpoolInUseError(Exception):
    """Another executor uses this folder. Give each its own name or its own folder."""


class DiskSpool:
    """Implements Spool. Opened by one process at a time; close it."""

    def __init__(self, folder: Path) -> None:
        """Raises SpoolInUseError."""
        self._outputs = folder / "outputs"
        self._outputs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._journal = folder / "journal"
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise SpoolInUseError(f"Another executor uses {folder}.") from error
        self._encoder = json.Encoder()
        self._entries: dict[AttemptId, tuple[SpoolEntry, ...]] = self._read()
        self._kept = self._found()
        self._file = self._opened()

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock)

    def entries(self) -> dict[AttemptId, tuple[SpoolEntry, ...]]:
        return dict(self._entries)

    def has_room(self) -> bool:
        return shutil.disk_usage(self._outputs).free >= SPARE_BYTES

    def append(self, attempt: AttemptId, entry: SpoolEntry) -> None:
        self._write(Line(attempt, entry))
        self._entries[attempt] = (*self._entries.get(attempt, ()), entry)

    def forget(self, attempt: AttemptId) -> None:
        for path in self._kept.pop(attempt, {}).values():
            path.unlink(missing_ok=True)
        try:
            if self._entries.pop(attempt, None) is not None:
                self._write(Line(attempt))
            if self._size > COMPACT_BYTES:
                old, self._file = self._file, self._compacted()
                os.close(old)
        except SpoolFullError:  # the next process asks dispatch for it, and forgets it then
            logger.warning("spool is full", extra={"attempt": str(attempt)})

    async def keep(self, attempt: AttemptId, number: int, body: bytes) -> None:
        path = self._outputs / f"{attempt}.{number}.{len(body)}"
        try:
            if len(body) <= SMALL_BYTES:
                self._write_file(path, body)
            else:
                await asyncio.to_thread(self._write_file, path, body)
        except SpoolFullError:  # it is in memory now, and the backend has it for another process
            logger.warning("spool is full", extra={"attempt": str(attempt), "size_bytes": len(body)})
        else:
            self._kept.setdefault(attempt, {})[number] = path

    async def kept(self, attempt: AttemptId, number: int) -> bytes | None:
        path = self._kept.get(attempt, {}).get(number)
        return None if path is None else await asyncio.to_thread(path.read_bytes)

    def _write(self, line: Line) -> None:
        """All of it or nothing: half a line would spoil the next one. Raises SpoolFullError."""
        body = self._encoder.encode(line) + b"\n"
        try:
            self._put(self._file, body)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise _told(error) from error
        self._size += len(body)

    def _write_file(self, path: Path, body: bytes) -> None:
        """Nothing is left of it when it raises: SpoolFullError, OSError."""
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                self._put(file, body)
            finally:
                os.close(file)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _told(error) from error

    def _put(self, file: int, body: bytes) -> None:
        """What a file that cannot be written whole has got of it is its caller's to take back."""
        view = memoryview(body)
        while view:
            view = view[os.write(file, view) :]

    def _read(self) -> dict[AttemptId, tuple[SpoolEntry, ...]]:
        entries: dict[AttemptId, tuple[SpoolEntry, ...]] = {}
        if not self._journal.exists():
            return entries
        decoder = json.Decoder(Line)
        for number, text in enumerate(self._journal.read_bytes().split(b"\n"), 1):
            if not text:
                continue
            try:
                line = decoder.decode(text)
            except DecodeError:  # the last line may be half written
                logger.warning("spool line not readable", extra={"line": number})
                continue
            attempt = AttemptId(line.attempt)
            if line.entry is None:
                entries.pop(attempt, None)
            else:
                entries[attempt] = (*entries.get(attempt, ()), line.entry)
        return entries

    def _found(self) -> dict[AttemptId, dict[int, Path]]:
        """Outputs on the disk; those of no known attempt, and half written ones, go."""
        kept: dict[AttemptId, dict[int, Path]] = {}
        names = {str(attempt): attempt for attempt in self._entries}
        for path in self._outputs.iterdir():
            attempt, _, rest = path.name.partition(".")
            number, _, size = rest.partition(".")
            if attempt in names and size == str(path.stat().st_size):
                kept.setdefault(names[attempt], {})[int(number)] = path
            else:
                path.unlink(missing_ok=True)
        return kept

    def _opened(self) -> int:
        """The journal, open for appending: rewritten, if there is room for that."""
        try:
            return self._compacted()
        except SpoolFullError:
            logger.warning("spool is full")
            file = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(file).st_size
            return file

    def _compacted(self) -> int:
        """The journal rewritten with what is not forgotten. Raises SpoolFullError; then it is as before."""
        lines = [
            self._encoder.encode(Line(attempt, entry)) + b"\n"
            for attempt, entries in self._entries.items()
            for entry in entries
        ]
        body = b"".join(lines)
        half = self._journal.with_suffix(".new")
        self._write_file(half, body)
        half.replace(self._journal)
        self._size = len(body)
        return os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _told(error: OSError) -> Exception:
    return SpoolFullError("There is no room in the spool.") if error.errno in FULL else error
