"""Objects on disk: whole, or not there."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.storage.disk import ABANDONED_S, DiskObjects
from commands.ports import ObjectTooLarge, WrongDigest
from domain.ids import Digest

BODY = os.urandom(700_000)
DIGEST = Digest(hashlib.sha256(BODY).hexdigest())


async def chunks(*bodies: bytes) -> AsyncIterator[bytes]:
    for body in bodies:
        await asyncio.sleep(0)
        yield body


async def breaking_off(body: bytes) -> AsyncIterator[bytes]:
    yield body
    raise ConnectionResetError


def files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


async def test_what_is_put_is_there_under_its_digest(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    assert objects.path(DIGEST) is None
    assert await objects.put(DIGEST, chunks(BODY[:300_000], b"", BODY[300_000:]), len(BODY)) == len(BODY)
    path = objects.path(DIGEST)
    assert path is not None
    assert path.read_bytes() == BODY
    assert files(tmp_path) == [Path(DIGEST[:2]) / DIGEST]
    assert DiskObjects(tmp_path).path(DIGEST) == path


async def test_an_empty_object_is_an_object(tmp_path: Path) -> None:
    digest = Digest(hashlib.sha256(b"").hexdigest())
    assert await DiskObjects(tmp_path).put(digest, chunks(), 0) == 0
    assert DiskObjects(tmp_path).path(digest) is not None


async def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    with pytest.raises(WrongDigest):
        await objects.put(DIGEST, chunks(BODY, b"!"), 10**9)
    with pytest.raises(ObjectTooLarge):
        await objects.put(DIGEST, chunks(BODY), len(BODY) - 1)
    with pytest.raises(ConnectionResetError):
        await objects.put(DIGEST, breaking_off(BODY), 10**9)
    task = asyncio.create_task(objects.put(DIGEST, _endless(), 10**9))
    while not files(tmp_path):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == []
    assert objects.path(DIGEST) is None


async def _endless() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(0.001)
        yield BODY


async def test_a_failed_upload_does_not_harm_what_is_there(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    with pytest.raises(WrongDigest):
        await objects.put(DIGEST, chunks(b"something else"), len(BODY))
    path = objects.path(DIGEST)
    assert path is not None
    assert path.read_bytes() == BODY


async def test_many_put_one_object_at_once(tmp_path: Path) -> None:
    stores = [DiskObjects(tmp_path) for _ in range(4)]  # as several processes would
    halves = (BODY[:350_000], BODY[350_000:])
    await asyncio.gather(*(store.put(DIGEST, chunks(*halves), len(BODY)) for store in stores * 3))
    assert files(tmp_path) == [Path(DIGEST[:2]) / DIGEST]
    assert (tmp_path / DIGEST[:2] / DIGEST).read_bytes() == BODY


@pytest.mark.parametrize("body", [b"small", BODY])
async def test_what_is_there_already_is_not_written_again(tmp_path: Path, body: bytes) -> None:
    digest, objects = Digest(hashlib.sha256(body).hexdigest()), DiskObjects(tmp_path)
    assert await objects.put(digest, chunks(body), len(body)) == len(body)
    path = objects.path(digest)
    assert path is not None
    first = path.stat()
    assert await objects.put(digest, chunks(body), len(body)) == len(body)
    assert path.stat().st_ino == first.st_ino
    assert files(tmp_path) == [Path(digest[:2]) / digest]


async def test_what_a_killed_process_left_is_cleared_away_later(tmp_path: Path) -> None:
    DiskObjects(tmp_path)
    old, young = tmp_path / "incoming" / "old", tmp_path / "incoming" / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = time.time() - ABANDONED_S - 10
    os.utime(old, (long_ago, long_ago))
    DiskObjects(tmp_path)
    assert files(tmp_path) == [Path("incoming/young")]  # somebody else may still be writing it


async def test_an_object_is_removed_once_it_is_settled(tmp_path: Path) -> None:
    digest, objects = Digest(hashlib.sha256(b"small").hexdigest()), DiskObjects(tmp_path)
    await objects.put(digest, chunks(b"small"), 5)
    before, after = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    assert not objects.remove(digest, before)
    assert objects.path(digest) is not None
    assert objects.remove(digest, after)
    assert objects.path(digest) is None
    assert objects.remove(digest, after)
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_what_is_stored_again_is_not_removed(tmp_path: Path) -> None:
    """Somebody is about to refer to it."""
    digest, objects = Digest(hashlib.sha256(b"small").hexdigest()), DiskObjects(tmp_path)
    await objects.put(digest, chunks(b"small"), 5)
    path = objects.path(digest)
    assert path is not None
    os.utime(path, (0, 0))
    await objects.put(digest, chunks(b"small"), 5)
    assert not objects.remove(digest, datetime.now(UTC) - timedelta(minutes=1))
