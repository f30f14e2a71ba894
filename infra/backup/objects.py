"""The files that the log refers to: which they are, whose, and whether they are there."""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from commands.ports import ObjectTooLarge, WrongDigest
from infra.backup.manifest import BackupError, ObjectLine
from infra.objects import Store

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


def is_there(store: Store, line: ObjectLine) -> bool:
    return store.size(line.digest) == line.size_bytes


def put(store: Store, line: ObjectLine, blocks: Iterable[bytes]) -> None:
    """Raises BackupError when it is not what its digest names; then nothing is kept."""
    try:
        store.put(line.digest, line.size_bytes, blocks)
    except (ObjectTooLarge, WrongDigest) as error:
        raise BackupError(f"The file {line.digest} in the backup is another one.") from error


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
