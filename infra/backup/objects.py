"""The files that the log refers to: which they are, whose, and whether they are there."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import psycopg

from commands.ports import ObjectTooLarge, WrongDigest
from domain.event import topic
from domain.input import InputDeleted
from domain.lora import LoraDeleted
from domain.run import OutputDeleted, RunAttemptLost, RunDeleted
from domain.share import ShareMade
from domain.shared_output import OutputPublished
from domain.workflow import WorkflowThumbnailRemoved
from infra.backup.manifest import BackupError, ObjectLine
from infra.objects import Store

# Wherever an event names something by digest and size, it is an object, unless it is a document kept beside the log.
_REFERRING = """
SELECT originator_id, owner, topic, state FROM log.events
WHERE topic = ANY (%s) OR position('\\x22646967657374223a'::bytea IN state) > 0 ORDER BY notification_id
"""
_BESIDE = "SELECT encode(digest, 'hex') FROM log.contents"
_PAGE = 5_000
_EMPTYING = {topic(RunAttemptLost), topic(RunDeleted), topic(InputDeleted)}
_DELETING = {topic(OutputDeleted), topic(LoraDeleted), topic(WorkflowThumbnailRemoved)}
_SHOWING = {topic(OutputPublished), topic(ShareMade)}  # what a run has, for as long as it has it

_Things: TypeAlias = dict[Any, list[tuple[str, int]]]
"""What a stream has, each with its files: their digests and sizes."""


def referred(connection: psycopg.Connection) -> Iterator[ObjectLine]:
    """But for what was deleted since. In order of digest. Inside a transaction."""
    beside = {digest for (digest,) in connection.execute(_BESIDE)}
    sizes: dict[str, int] = {}
    owners: dict[str, set[UUID]] = {}
    for owner, things in _held(connection).values():
        for digest, size in chain.from_iterable(things.values()):
            if digest not in beside:
                sizes[digest] = size
                owners.setdefault(digest, set()).update(() if owner is None else (owner,))
    for digest in sorted(sizes):
        yield ObjectLine(digest=digest, size_bytes=sizes[digest], owners=tuple(sorted(owners[digest])))


def _held(connection: psycopg.Connection) -> dict[UUID, tuple[UUID | None, _Things]]:
    """By stream: whose it is, and what it has in the end."""
    held: dict[UUID, tuple[UUID | None, _Things]] = {}
    with connection.cursor("objects", binary=True) as cursor:
        cursor.itersize = _PAGE
        cursor.execute(_REFERRING.encode(), ([*_EMPTYING, *_DELETING],))
        for stream, owner, name, state in cursor:
            event = msgspec.json.decode(state)
            if name in _EMPTYING:
                held.pop(stream, None)
            elif name in _DELETING:
                _, things = held.get(stream, (None, {}))
                for thing in _deleted(event):
                    things.pop(thing, None)
            elif name not in _SHOWING:
                _add(held.setdefault(stream, (owner, {}))[1], event)
    return held


def _add(things: _Things, event: dict[str, Any]) -> None:
    match event:
        case {"output": {"node": node, "index": index} as output}:
            things[node, index] = list(_named(output))
        case {"lora": lora}:
            things[lora] = list(_named(event))
        case _:
            things |= {digest: [(digest, size)] for digest, size in _named(event)}


def _deleted(event: dict[str, Any]) -> Iterable[Any]:
    match event:
        case {"node": node, "index": index}:
            return ((node, index),)
        case {"lora": lora}:
            return (lora,)
        case _:
            return tuple(event["digests"])


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
