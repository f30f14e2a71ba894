"""What an executor must not forget, on its disk: a journal of small lines, and a file for each output.

It guards against a killed process, not against a dying machine: then the attempts' leases run out instead, and
dispatch repeats them. So nothing is synced.
"""

import asyncio
import fcntl
import logging
import os
from pathlib import Path
from uuid import UUID

from msgspec import DecodeError, Struct, json

from domain.ids import AttemptId
from services.ports import SpoolEntry

logger = logging.getLogger(__name__)

COMPACT_BYTES = 4 << 20
SMALL_BYTES = 256 << 10  # written at once: a thread would take longer


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
        self._kept: dict[AttemptId, set[int]] = self._found()
        self._file = self._compacted()

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock)

    def entries(self) -> dict[AttemptId, tuple[SpoolEntry, ...]]:
        return dict(self._entries)

    def append(self, attempt: AttemptId, entry: SpoolEntry) -> None:
        self._entries[attempt] = (*self._entries.get(attempt, ()), entry)
        self._write(Line(attempt, entry))

    def forget(self, attempt: AttemptId) -> None:
        if self._entries.pop(attempt, None) is not None:
            self._write(Line(attempt))
        for number in self._kept.pop(attempt, ()):
            self._output(attempt, number).unlink(missing_ok=True)
        if self._size > COMPACT_BYTES:
            os.close(self._file)
            self._file = self._compacted()

    async def keep(self, attempt: AttemptId, number: int, body: bytes) -> None:
        path = self._output(attempt, number)
        self._kept.setdefault(attempt, set()).add(number)
        if len(body) <= SMALL_BYTES:
            _replace(path, body)
        else:
            await asyncio.to_thread(_replace, path, body)

    async def kept(self, attempt: AttemptId, number: int) -> bytes | None:
        if number not in self._kept.get(attempt, ()):
            return None
        return await asyncio.to_thread(self._output(attempt, number).read_bytes)

    def _output(self, attempt: AttemptId, number: int) -> Path:
        return self._outputs / f"{attempt}.{number}"

    def _write(self, line: Line) -> None:
        body = self._encoder.encode(line) + b"\n"
        os.write(self._file, body)
        self._size += len(body)

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

    def _found(self) -> dict[AttemptId, set[int]]:
        """Outputs on the disk; those of no known attempt, and half written ones, go."""
        kept: dict[AttemptId, set[int]] = {}
        names = {str(attempt): attempt for attempt in self._entries}
        for path in self._outputs.iterdir():
            attempt, _, number = path.name.partition(".")
            if attempt in names and number.isdecimal():
                kept.setdefault(names[attempt], set()).add(int(number))
            else:
                path.unlink(missing_ok=True)
        return kept

    def _compacted(self) -> int:
        """The journal rewritten with what is not forgotten, open for appending."""
        lines = [
            self._encoder.encode(Line(attempt, entry)) + b"\n"
            for attempt, entries in self._entries.items()
            for entry in entries
        ]
        body = b"".join(lines)
        _replace(self._journal, body)
        self._size = len(body)
        return os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _replace(path: Path, body: bytes) -> None:
    """Whole or not at all."""
    half = path.with_name(path.name + ".tmp")
    half.write_bytes(body)
    half.replace(path)
