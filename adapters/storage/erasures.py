"""The list of erased accounts: a file of lines that only grows, kept outside the backups it is applied to."""

import asyncio
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from domain.ids import AccountId


class Line(Struct, frozen=True):
    """`{"account": "...", "at": "..."}`"""

    account: AccountId
    at: datetime


class ErasureFile:
    """The Erasures port. Several processes may write one file: each line is one write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[AccountId, datetime] = {}
        self._size = 0

    async def note(self, account: AccountId, at: datetime) -> None:
        if account not in await self.noted():
            await asyncio.to_thread(self._append, msgspec.json.encode(Line(account, at)))

    async def noted(self) -> dict[AccountId, datetime]:
        """A line that a power cut has torn was never relied on: whoever wrote it writes it again."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> dict[AccountId, datetime]:
        """Only when it has grown."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return {}
        if size != self._size:
            self._known, self._size = _lines(self._path.read_bytes()), size
        return self._known

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            end = os.fstat(descriptor).st_size
            torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
            os.write(descriptor, (b"\n" if torn else b"") + line + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _lines(body: bytes) -> dict[AccountId, datetime]:
    found: dict[AccountId, datetime] = {}
    for text in body.splitlines():
        with suppress(msgspec.DecodeError):
            line = msgspec.json.decode(text, type=Line)
            found.setdefault(line.account, line.at)
    return found
