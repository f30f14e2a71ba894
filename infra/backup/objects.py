"""The files that the log refers to: which they are, whose, and whether they are there."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from infra.backup.manifest import BackupError, ObjectLine

# Wherever an event names something by digest and size, it is an object, unless it is a document kept beside the log.
_REFERRING = "SELECT owner, state FROM log.events WHERE position('\\x22646967657374223a'::bytea IN state) > 0"
_BESIDE = "SELECT encode(digest, 'hex') FROM log.contents"
_PAGE = 5_000


def referred(connection: psycopg.Connection) -> Iterator[ObjectLine]:
    """In order of digest. Inside a transaction."""
    beside = {digest for (digest,) in connection.execute(_BESIDE)}
    sizes: dict[str, int] = {}
    owners: dict[str, set[UUID]] = {}
    with connection.cursor("objects", binary=True) as cursor:
        cursor.itersize = _PAGE
        cursor.execute(_REFERRING.encode())
        for owner, state in cursor:
            for digest, size in _named(msgspec.json.decode(state)):
                if digest not in beside:
                    sizes[digest] = size
                    owners.setdefault(digest, set()).update(() if owner is None else (owner,))
    for digest in sorted(sizes):
        yield ObjectLine(digest=digest, size_bytes=sizes[digest], owners=tuple(sorted(owners[digest])))


def path(data: Path, digest: str) -> Path:
    """Where the object store on disk keeps it."""
    return data / "objects" / digest[:2] / digest


def is_there(data: Path, line: ObjectLine) -> bool:
    place = path(data, line.digest)
    return place.is_file() and place.stat().st_size == line.size_bytes


def put(data: Path, line: ObjectLine, blocks: Iterable[bytes]) -> None:
    """Raises BackupError when it is not what its digest names; then nothing is kept."""
    place = path(data, line.digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished, sha = place.with_name(f"{place.name}.restoring"), hashlib.sha256()
    with unfinished.open("wb") as file:
        for block in blocks:
            sha.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if sha.hexdigest() != line.digest:
        unfinished.unlink()
        raise BackupError(f"The file {line.digest} in the backup is another one.")
    unfinished.replace(place)


def _named(value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        digest, size = value.get("digest"), value.get("size_bytes")
        if isinstance(digest, str) and isinstance(size, int):
            yield digest, size
        for each in value.values():
            yield from _named(each)
    elif isinstance(value, list):
        for each in value:
            yield from _named(each)
