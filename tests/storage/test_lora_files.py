"""LoRAs in every store: bytes that are kept once, and as long as somebody has a name for them."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from msgspec import Struct

from adapters.storage.disk import DiskObjects
from adapters.storage.lora_files import DiskLoraFiles
from adapters.storage.lora_places import LoraPlaces
from adapters.storage.places import Places
from adapters.storage.s3 import S3Objects
from adapters.storage.s3_lora_files import S3LoraFiles
from commands.ports import Objects, ObjectsAwayError
from domain.ids import AccountId, Digest
from domain.lora import file_name, stored_path
from infra.wiring import now
from services.moving import Fate, Moved
from services.moving_loras import MovingLoras
from services.ports.uploading import LoraFiles
from tests.s3 import BUCKET, S3Server, fresh
from tests.storage.objects import BODY, DIGEST, all_in, chunks, digest_of, got

LATER = timedelta(hours=1)


def named(owner: int, digest: Digest = DIGEST) -> str:
    return stored_path(AccountId(UUID(int=owner)), file_name("soft.safetensors", digest))


ANNS, BOBS = named(0xA), named(0xB)


class Store(Struct, frozen=True):
    objects: Objects
    files: LoraFiles

    async def names(self) -> set[str]:
        return {name async for name, _ in self.files.names()}


def on_disk(folder: Path) -> Store:
    return Store(DiskObjects(folder), DiskLoraFiles(folder))


@pytest.fixture
async def s3(s3_server: S3Server) -> AsyncIterator[S3Objects]:
    async with fresh(s3_server) as objects:
        yield objects


@pytest.fixture
def bucket(s3: S3Objects) -> Store:
    return Store(s3, S3LoraFiles(s3, now))


@pytest.fixture
def disk(tmp_path: Path) -> Store:
    return on_disk(tmp_path / "objects")


@pytest.fixture(params=["disk", "s3", "both"])
def store(request: pytest.FixtureRequest, tmp_path: Path, disk: Store) -> Store:
    """`both`: S3, with a disk that may still have something."""
    if request.param == "disk":
        return disk
    bucket: Store = request.getfixturevalue("bucket")
    if request.param == "s3":
        return bucket
    return Store(Places(bucket.objects, disk.objects), LoraPlaces(bucket.files, disk.files))


async def keep(store: Store, folder: Path, body: bytes, name: str) -> None:
    """As an upload does it: its own file is gone afterwards."""
    path = folder / "upload.part"
    path.write_bytes(body)
    await store.files.keep(digest_of(body), path, name)
    path.unlink()


async def test_a_file_that_is_kept_is_an_object_with_a_name(store: Store, tmp_path: Path) -> None:
    for _ in range(2):  # again it changes nothing
        await keep(store, tmp_path, BODY, ANNS)
    assert await got(store.objects, DIGEST) == BODY
    assert await store.names() == {ANNS}
    assert await store.files.has(DIGEST, ANNS)
    assert not await store.files.has(DIGEST, BOBS)
    ((_, since),) = [each async for each in store.files.names()]
    assert abs(since - datetime.now(UTC)) < timedelta(seconds=30)


async def test_an_object_goes_with_its_last_name(store: Store, tmp_path: Path) -> None:
    await keep(store, tmp_path, BODY, ANNS)
    assert await store.files.name(DIGEST, BOBS)
    await store.files.release(DIGEST, ANNS)
    assert await store.names() == {BOBS}
    assert await got(store.objects, DIGEST) == BODY
    await store.files.release(DIGEST, ANNS)
    assert await store.objects.size(DIGEST) == len(BODY)
    await store.files.release(DIGEST, BOBS)
    assert await store.objects.size(DIGEST) is None
    assert await store.names() == set()


async def test_an_object_with_a_name_is_not_removed(store: Store, tmp_path: Path) -> None:
    await keep(store, tmp_path, BODY, ANNS)
    assert await store.objects.remove(DIGEST, datetime.now(UTC) + LATER)
    assert await got(store.objects, DIGEST) == BODY


async def test_what_is_not_there_gets_no_name(store: Store) -> None:
    assert not await store.files.name(DIGEST, ANNS)
    assert await store.names() == set()
    await store.objects.put(DIGEST, chunks(BODY), len(BODY))
    assert await store.files.name(DIGEST, ANNS)
    assert await store.names() == {ANNS}


async def test_nothing_is_named_that_is_just_being_removed(s3: S3Objects, bucket: Store) -> None:
    await s3.put(DIGEST, chunks(BODY), len(BODY))
    await s3._client.put_object(Bucket=BUCKET, Key=s3._marks(DIGEST) + "somebody", Body=b"")
    with pytest.raises(ObjectsAwayError, match="being removed"):
        await bucket.files.name(DIGEST, ANNS)


async def test_a_large_file_takes_little_memory_on_its_way_into_s3(bucket: Store, tmp_path: Path) -> None:
    part, size = tmp_path / "large.part", 96 << 20
    with part.open("wb") as file:
        file.truncate(size)
    digest = digest_of(bytes(size))
    tracemalloc.start()
    try:
        await bucket.files.keep(digest, part, named(0xA, digest))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert await bucket.objects.size(digest) == size
    assert peak_bytes < 40 << 20


async def filled(store: Store, folder: Path) -> dict[Digest, bytes]:
    """Six LoRAs, one of them under two names."""
    bodies = {digest_of(body): body for body in (os.urandom(40_000) for _ in range(6))}
    for digest, body in bodies.items():
        await keep(store, folder, body, named(0xA, digest))
    await store.files.name(digest, named(0xB, digest))
    return bodies


async def moved(source: Store, target: Store) -> list[Moved]:
    told: list[Moved] = []
    moving = MovingLoras(source.objects, target.objects, source.files, target.files, now)
    await moving.all(told.append)
    return told


async def test_loras_are_moved_there_and_back(disk: Store, bucket: Store, tmp_path: Path) -> None:
    bodies = await filled(disk, tmp_path)
    names = await disk.names()
    for source, target in ((disk, bucket), (bucket, disk)):
        told = await moved(source, target)
        assert {each.object.digest for each in told} == bodies.keys()
        assert [each.fate for each in told] == [Fate.MOVED] * 6
        assert (await source.names(), await all_in(source.objects)) == (set(), {})
        assert await target.names() == names
        assert {digest: await got(target.objects, digest) for digest in bodies} == bodies
        assert await moved(source, target) == []


async def test_loras_have_their_names_at_any_moment(disk: Store, bucket: Store, tmp_path: Path) -> None:
    bodies = await filled(disk, tmp_path)
    names = await disk.names()
    both = Store(Places(bucket.objects, disk.objects), LoraPlaces(bucket.files, disk.files))
    moving, rounds = asyncio.create_task(moved(disk, bucket)), 0
    while not moving.done() or rounds == 0:
        for digest, body in bodies.items():
            assert await both.files.has(digest, named(0xA, digest))
            assert await got(both.objects, digest) == body
        rounds += 1
    await moving
    assert await bucket.names() == names


class Deleted(DiskLoraFiles):
    """Somebody deletes a LoRA when its copy has just got its name."""

    async def has(self, digest: Digest, name: str) -> bool:
        await self.release(digest, name)
        return await super().has(digest, name)


async def test_a_lora_that_is_deleted_meanwhile_does_not_come_back(bucket: Store, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    source = Store(DiskObjects(folder), Deleted(folder))
    await filled(source, tmp_path)
    assert {each.fate for each in await moved(source, bucket)} == {Fate.GONE}
    assert (await bucket.names(), await all_in(bucket.objects)) == (set(), {})


async def test_a_damaged_lora_stays_where_it_is(disk: Store, bucket: Store, tmp_path: Path) -> None:
    bodies = await filled(disk, tmp_path)
    digest = next(iter(bodies))
    path = tmp_path / "objects" / digest[:2] / digest
    path.write_bytes(b"x" * 40_000)
    fates = {each.object.digest: each.fate for each in await moved(disk, bucket)}
    assert fates.pop(digest) is Fate.DAMAGED
    assert set(fates.values()) == {Fate.MOVED}
    assert await disk.names() == {named(0xA, digest)}
    assert await bucket.objects.size(digest) is None
