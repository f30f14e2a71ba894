"""A zip that is written while it is sent. In memory is one piece of a file, and a name for each; nothing is held open.

Pictures and films are packed already: they are stored as they are. What a file is called is never a path.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from msgspec import Struct

from adapters.http.outputs import EXTENSIONS
from commands.ports import ObjectMissingError, Objects
from domain.ids import Digest
from domain.refusals import Invalid
from domain.rendition import AS_MADE, Rendition
from services.ports.picturing import Renditions

PIECE_BYTES = 1024 * 1024  # read as one, so that who stops reading keeps no file and no connection open
LARGE_BYTES = 2**31 - 2**20  # what is larger needs the longer form of an entry
MAX_STEM, MAX_SUFFIX = 120, 20
MISSING = "missing.txt"
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}
"""What Windows takes for something else than a file, whatever stands behind the dot."""


class Entry(Struct, frozen=True):
    """An output, and in which rendition it is wanted; None: as it was made."""

    digest: Digest
    name: str
    at: datetime
    rendition: Rendition | None = None


async def zipped(entries: Sequence[Entry], objects: Objects, renditions: Renditions) -> AsyncIterator[bytes]:
    """What is not there any more is named at the end, in a text of its own. Raises ObjectsAwayError."""
    sink, taken, missing = _Sink(), set[str](), list[str]()
    archive = ZipFile(sink, "w", ZIP_STORED)  # type: ignore[call-overload]  # it needs no more than to write
    for entry in entries:
        found = await _found(entry, objects, renditions)
        if found is None:
            missing.append(safe_name(entry.name))
            continue
        digest, name, size = found
        about = ZipInfo(unlike(safe_name(name), taken), _stamp(entry.at))
        about.external_attr = 0o600 << 16
        with archive.open(about, "w", force_zip64=size > LARGE_BYTES) as writing:
            for start in range(0, size, PIECE_BYTES):
                end = min(size, start + PIECE_BYTES)
                reading = asyncio.ensure_future(_read(objects, digest, start, end))
                writing.write(await asyncio.shield(reading))  # once begun it comes to its end, and closes
                yield sink.taken()
    if missing:
        archive.writestr(unlike(MISSING, taken), "\n".join(["These files could not be had:", *missing, ""]))
    archive.close()
    yield sink.taken()


async def _read(objects: Objects, digest: Digest, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in objects.read(digest, start, end)])


async def _found(entry: Entry, objects: Objects, renditions: Renditions) -> tuple[Digest, str, int] | None:
    """The object to send in its place, with its name and size. What cannot be rendered is sent as it was made, unless
    it was not to tell how."""
    digest, name = entry.digest, entry.name
    if entry.rendition is not None and entry.rendition != AS_MADE:
        try:
            made = await renditions.of(digest, entry.rendition)
        except ObjectMissingError:
            return None
        except Invalid:
            if not entry.rendition.metadata:
                return None
            made = None
        if made is not None:
            digest, name = made.digest, PurePosixPath(name).stem + EXTENSIONS[made.media_type]
    size = await objects.size(digest)
    return None if size is None else (digest, name, size)


def safe_name(name: str) -> str:
    """The same where that is a plain name; without folders, and without what some system takes for more than that."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(letter if letter.isprintable() and letter not in ':*?"<>|' else "_" for letter in last)
    stem, dot, suffix = plain.rpartition(".")
    if not dot or len(suffix) > MAX_SUFFIX:
        stem, suffix = plain, ""
    stem = stem.strip(" .")[:MAX_STEM].rstrip(" .") or "output"
    suffix = suffix.strip(" .")
    if stem.split(".")[0].lower() in DEVICES:
        stem = f"_{stem}"
    return f"{stem}.{suffix}" if suffix else stem


def unlike(name: str, taken: set[str]) -> str:
    """The name, or one with a number; different from all before also where case makes no difference."""
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    found, number = name, 1
    while found.casefold() in taken:
        number += 1
        found = f"{stem} ({number}){dot}{suffix}"
    taken.add(found.casefold())
    return found


def _stamp(at: datetime) -> tuple[int, int, int, int, int, int]:
    """A zip begins in 1980, and counts two seconds as one."""
    at = at.astimezone(UTC)
    return (max(1980, min(2107, at.year)), at.month, at.day, at.hour, at.minute, at.second)


class _Sink:
    """Where the archive is written to: it cannot go back, so sizes and sums stand behind each file."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, octets: bytes) -> int:
        self._held += octets
        return len(octets)

    def flush(self) -> None:
        """There is nothing behind it."""

    def taken(self) -> bytes:
        octets = bytes(self._held)
        self._held.clear()
        return octets
