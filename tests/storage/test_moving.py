"""Moving objects to another store while people read, write and erase, and whoever moves them is killed."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from adapters.storage.disk import DiskObjects
from adapters.storage.lora_files import DiskLoraFiles
from adapters.storage.places import Places
from adapters.storage.s3 import Bucket, S3Objects, opened
from adapters.storage.s3_lora_files import S3LoraFiles
from commands.ports import Objects
from domain.ids import AccountId, Digest
from domain.lora import file_name, stored_path
from infra.settings import Settings
from infra.wiring import now
from services.moving import Fate, Moved, Moving
from tests.cuts import cuts
from tests.s3 import S3Server
from tests.storage.objects import all_in, chunks, digest_of, got
from tests.terminal import begun

BODIES = {
    digest_of(body): body for body in (os.urandom(size) for size in [0, 1, 70_000, 700_000, *[5_000] * 36])
}

OWNER = AccountId(UUID(int=0xA))


@pytest.fixture
def bucket(s3_server: S3Server) -> Bucket:
    return s3_server.bucket()


@pytest.fixture
async def s3(bucket: Bucket) -> AsyncIterator[S3Objects]:
    async with opened(bucket, now) as objects:
        yield objects


@pytest.fixture
def disk(tmp_path: Path) -> DiskObjects:
    return DiskObjects(tmp_path / "objects")


async def filled(objects: Objects) -> None:
    for digest, body in BODIES.items():
        await objects.put(digest, chunks(body), len(body))


async def moved(source: Objects, target: Objects) -> list[Moved]:
    told: list[Moved] = []
    await Moving(source, target, now).all(told.append)
    return told


async def holds_all(objects: Objects) -> bool:
    return {digest: await got(objects, digest) for digest in BODIES} == BODIES


async def test_everything_is_moved_there_and_back(disk: DiskObjects, s3: S3Objects) -> None:
    await filled(disk)
    told = await moved(disk, s3)
    assert {each.fate for each in told} == {Fate.MOVED}
    assert {each.object.digest for each in told} == BODIES.keys()
    assert await all_in(disk) == {}
    assert await holds_all(s3)
    assert await moved(disk, s3) == []
    await moved(s3, disk)
    assert await all_in(s3) == {}
    assert await holds_all(disk)


async def test_everything_can_be_read_while_it_is_moved(disk: DiskObjects, s3: S3Objects) -> None:
    await filled(disk)
    both = Places(s3, disk)
    moving = asyncio.create_task(moved(disk, s3))
    rounds = 0
    while not moving.done() or rounds == 0:
        for digest, body in BODIES.items():
            assert await both.size(digest) == len(body)
            assert await got(both, digest) == body
        rounds += 1
    await moving
    assert await holds_all(s3)


async def test_a_damaged_object_stays_where_it_is(disk: DiskObjects, s3: S3Objects, tmp_path: Path) -> None:
    await filled(disk)
    digest, body = next((digest, body) for digest, body in BODIES.items() if len(body) == 5_000)
    place = tmp_path / "objects" / digest[:2] / digest
    place.write_bytes(b"x" + body[1:])
    fates = {each.object.digest: each.fate for each in await moved(disk, s3)}
    assert fates.pop(digest) is Fate.DAMAGED
    assert set(fates.values()) == {Fate.MOVED}
    assert place.read_bytes() == b"x" + body[1:]
    assert await s3.size(digest) is None


async def test_a_copy_that_is_damaged_is_made_again(disk: DiskObjects, s3: S3Objects) -> None:
    await filled(disk)
    digest, body = next((digest, body) for digest, body in BODIES.items() if len(body) == 5_000)
    await s3._client.put_object(Bucket=s3._bucket.name, Key=s3._key(digest), Body=b"x" + body[1:])
    assert {each.fate for each in await moved(disk, s3)} == {Fate.MOVED}
    assert await holds_all(s3)


class Erasing(DiskObjects):
    """Somebody erases an object when its copy has just been made."""

    async def size(self, digest: Digest) -> int | None:
        await self.remove(digest, datetime.now(UTC) + timedelta(hours=1))
        return await super().size(digest)


async def test_what_is_erased_meanwhile_does_not_come_back(s3: S3Objects, tmp_path: Path) -> None:
    source = Erasing(tmp_path)
    await filled(source)
    assert {each.fate for each in await moved(source, s3)} == {Fate.GONE}
    assert await all_in(s3) == {}


async def test_it_goes_on_when_the_store_was_away(disk: DiskObjects, s3_server: S3Server) -> None:
    await filled(disk)
    async with cuts(s3_server.port) as way, opened(s3_server.bucket(url=way.url), now) as s3:
        way.closed = True
        moving = asyncio.create_task(moved(disk, s3))
        async with asyncio.timeout(30):
            await way.turned_away.wait()
        way.closed = False
        assert {each.fate for each in await moving} == {Fate.MOVED}
        assert await holds_all(s3)


async def test_whoever_moves_may_be_killed_at_any_moment(
    disk: DiskObjects, s3: S3Objects, bucket: Bucket, tmp_path: Path
) -> None:
    await filled(disk)
    loras = DiskLoraFiles(tmp_path / "objects")
    names = {stored_path(OWNER, file_name("a.safetensors", digest)): digest for digest in list(BODIES)[:12]}
    for name, digest in names.items():
        assert await loras.name(digest, name)
    both, chance = Places(s3, disk), random.Random(4)
    environment = settings_for(bucket, tmp_path).to_environment()
    kills = 0
    for _ in range(12):
        before = left(tmp_path)
        process = begun(("objects", "move"), {**os.environ, **environment}, tmp_path / "said")
        deadline, enough = time.monotonic() + 60, before - chance.randint(3, 9)
        while process.exitcode is None and left(tmp_path) > enough:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.002)
        if process.exitcode is None:
            process.kill()
            kills += 1
        process.join()
        assert await holds_all(both)
        if process.exitcode == 0:
            break
    else:
        process = begun(("objects", "move"), {**os.environ, **environment}, tmp_path / "said")
        process.join(60)
        assert process.exitcode == 0, (tmp_path / "said").read_text()
    assert kills >= 3
    assert await all_in(disk) == {}
    assert await holds_all(s3)
    assert {name async for name, _ in S3LoraFiles(s3, now).names()} == names.keys()
    assert [name async for name in loras.names()] == []


def left(data: Path) -> int:
    """How many objects are still on the disk, asked very often."""
    return sum(1 for _ in (data / "objects").glob("??/*"))


def settings_for(bucket: Bucket, data: Path) -> Settings:
    return Settings(
        data=data,
        s3_bucket=bucket.name,
        s3_endpoint=bucket.endpoint,
        s3_access_key=bucket.access_key,
        s3_secret_key=bucket.secret_key,
        s3_prefix=bucket.prefix,
        s3_path_style=True,
    )
