"""A workflow that was exported as a zip with all its versions, read with distrust: nothing of it is believed unseen.

It is never unpacked to anywhere: each file is looked for under the one name that it can have.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.refusals import FieldError, Invalid

MAX_VERSIONS = 500
MAX_FILES = 2 * MAX_VERSIONS + 3  # with the description, the history and the folder
MAX_ENTRY_BYTES = 256  # of a file in the zip's list of files; ours have 70
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
ABOUT, HISTORY = "workflow.json", "history.json"
NAMES = re.compile(r"workflow\.json|history\.json|versions/|versions/[1-9][0-9]{0,5}(\.editor)?\.json")
BEGINS, ENDS, ENDS_LARGE = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07"
END_BYTES, LARGE_BYTES = 22, 20
ENCRYPTED = 0x1
HOW = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


class AboutVersion(Struct, frozen=True):
    number: int
    graph: str | None = None
    editor_graph: str | None = None
    note: str = ""
    restored_from: int | None = None
    saved_at: datetime | None = None


class About(Struct, frozen=True):
    """The file `workflow.json`."""

    id: UUID
    name: str
    versions: tuple[AboutVersion, ...]
    description: str = ""
    tags: tuple[str, ...] = ()


class Graphs(Struct, frozen=True):
    graph: Any
    editor_graph: Any


class Archive:
    """Its files are read one at a time."""

    def __init__(self, opened: zipfile.ZipFile, limit_bytes: int) -> None:
        self._opened = opened
        self._limit_bytes = limit_bytes
        self.about = self._about()

    def graphs(self, version: AboutVersion) -> Graphs:
        """Raises Invalid."""
        drawn = None if version.editor_graph is None else self._json(version.editor_graph)
        return Graphs(None if version.graph is None else self._json(version.graph), drawn)

    def _about(self) -> About:
        try:
            about = msgspec.json.decode(self._read(ABOUT), type=About)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise refused(f"Its {ABOUT} does not describe a workflow.") from error
        if not 1 <= len(about.versions) <= MAX_VERSIONS:
            raise refused(f"It may have 1 to {MAX_VERSIONS} versions.")
        for number, version in enumerate(about.versions, start=1):
            named = (f"versions/{number}.json", f"versions/{number}.editor.json")
            if version.number != number or version.graph not in (None, named[0]):
                raise refused(f"Version {number} is not where it must be.")
            if version.editor_graph not in (None, named[1]):
                raise refused(f"The editor's graph of version {number} is not where it must be.")
            if version.graph is None and version.editor_graph is None:
                raise refused(f"Version {number} has no graph.")
        return about

    def _json(self, name: str) -> Any:
        body = self._read(name)
        if b"\\u0000" in body:
            raise refused(f"{name} holds the NUL character.")
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise refused(f"{name} is no JSON.") from error
        except RecursionError as error:
            raise refused(f"{name} is nested too deeply.") from error

    def _read(self, name: str) -> bytes:
        """A byte more than allowed is enough to know."""
        try:
            with self._opened.open(name) as file:
                body = file.read(self._limit_bytes + 1)
        except KeyError as error:
            raise refused(f"{name} is not in it.") from error
        except BROKEN as error:
            raise refused(f"{name} cannot be unpacked.") from error
        if len(body) > self._limit_bytes:
            raise refused(f"{name} has more than {self._limit_bytes} bytes.")
        return body


def is_archive(body: bytes) -> bool:
    return body.startswith(BEGINS)


@contextmanager
def archive(body: bytes, limit_bytes: int) -> Iterator[Archive]:
    """`limit_bytes`: of one graph. Raises Invalid."""
    _check_end(body)
    try:
        opened = zipfile.ZipFile(BytesIO(body))
    except BROKEN as error:
        raise refused("It is damaged.") from error
    with opened:
        _check_list(opened.infolist())
        yield Archive(opened, limit_bytes)


def _check_end(body: bytes) -> None:
    """Whether its list of files is short enough to be read at all: what it says of itself is what is read."""
    end = body[-END_BYTES:]
    if not end.startswith(ENDS) or body[-END_BYTES - LARGE_BYTES :].startswith(ENDS_LARGE):
        raise refused("It breaks off, or is of a kind that no export is.")
    files, list_bytes = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    if files > MAX_FILES or list_bytes > MAX_FILES * MAX_ENTRY_BYTES:
        raise refused(f"It may have {MAX_FILES} files at most.")


def _check_list(files: list[zipfile.ZipInfo]) -> None:
    names = [file.filename for file in files]
    for file in files:
        if not NAMES.fullmatch(file.orig_filename):
            raise refused(f"It holds {file.orig_filename[:100]!r}, which is no part of a workflow.")
        if file.flag_bits & ENCRYPTED or file.compress_type not in HOW:
            raise refused(f"{file.filename} is encrypted, or packed in an unusual way.")
    if len(set(names)) < len(names):
        raise refused("It holds two files of one name.")
    if sum(file.file_size for file in files) > MAX_UNPACKED_BYTES:
        raise refused(f"Unpacked it has more than {MAX_UNPACKED_BYTES} bytes.")


def refused(reason: str) -> Invalid:
    return Invalid("The archive cannot be imported.", FieldError("file", reason))
