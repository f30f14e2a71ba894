"""Objects on disk: whole, or not there."""

import asyncio
import gc
import os
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.storage.disk import ABANDONED_S, DiskObjects
from commands.ports import ObjectTooLarge, WrongDigest
from tests.storage.objects import BODY, DIGEST, breaking_off, chunks, digest_of, endless


def files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def busy() -> None:
    """Nothing of the loop goes on meanwhile."""
    time.sleep(0.1)


async def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    with pytest.raises(WrongDigest):
        await objects.put(DIGEST, chunks(BODY, b"!"), 10**9)
    with pytest.raises(ObjectTooLarge):
        await objects.put(DIGEST, chunks(BODY), len(BODY) - 1)
    with pytest.raises(ConnectionResetError):
        await objects.put(DIGEST, breaking_off(BODY), 10**9)
    task = asyncio.create_task(objects.put(DIGEST, endless(), 10**9))
    while not files(tmp_path):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == []
    assert await objects.size(DIGEST) is None


async def test_many_put_one_object_at_once(tmp_path: Path) -> None:
    stores = [DiskObjects(tmp_path) for _ in range(4)]  # as several processes would
    halves = (BODY[:350_000], BODY[350_000:])
    await asyncio.gather(*(store.put(DIGEST, chunks(*halves), len(BODY)) for store in stores * 3))
    assert files(tmp_path) == [Path(DIGEST[:2]) / DIGEST]
    assert (tmp_path / DIGEST[:2] / DIGEST).read_bytes() == BODY


@pytest.mark.parametrize("body", [b"small", BODY])
async def test_what_is_there_already_is_not_written_again(tmp_path: Path, body: bytes) -> None:
    digest, objects = digest_of(body), DiskObjects(tmp_path)
    assert await objects.put(digest, chunks(body), len(body)) == len(body)
    path = tmp_path / digest[:2] / digest
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


async def test_what_is_stored_again_is_not_removed(tmp_path: Path) -> None:
    """Somebody is about to refer to it."""
    digest, objects = digest_of(b"small"), DiskObjects(tmp_path)
    await objects.put(digest, chunks(b"small"), 5)
    path = tmp_path / digest[:2] / digest
    os.utime(path, (0, 0))
    await objects.put(digest, chunks(b"small"), 5)
    assert not await objects.remove(digest, datetime.now(UTC) - timedelta(minutes=1))


async def test_who_reads_an_object_reads_it_to_the_end_although_it_is_removed(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    reading = objects.read(DIGEST)
    first = await anext(reading)
    assert await objects.remove(DIGEST, datetime.now(UTC) + timedelta(hours=1))
    assert first + b"".join([piece async for piece in reading]) == BODY


async def test_who_goes_away_while_a_file_is_opened_leaves_it_to_nobody(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    reading = asyncio.create_task(anext(objects.read(DIGEST)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        await asyncio.sleep(0)
        busy()  # a thread opens it meanwhile, and we do not hear of it before we go
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        del reading
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
    assert [str(each.message) for each in told] == []
