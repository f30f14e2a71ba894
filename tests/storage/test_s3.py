"""What only S3 does to us, and what only S3 can do."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from adapters.storage.disk import DiskObjects
from adapters.storage.places import Places
from adapters.storage.s3 import Bucket, S3Objects, opened
from commands.ports import Download, ObjectMissingError, ObjectsAwayError
from infra.wiring import now
from tests.cuts import Cuts, cuts
from tests.s3 import BUCKET, S3Server
from tests.storage.objects import BODY, DIGEST, all_in, chunks, digest_of, got

LARGE = os.urandom(20 << 20)
PICTURE = Download("image/png", 'inline; filename="a%20b.png"')


@pytest.fixture
async def way(s3_server: S3Server) -> AsyncIterator[Cuts]:
    async with cuts(s3_server.port) as way:
        yield way


@pytest.fixture
async def bucket(s3_server: S3Server, way: Cuts) -> Bucket:
    return s3_server.bucket(url=way.url)


@pytest.fixture
async def objects(bucket: Bucket) -> AsyncIterator[S3Objects]:
    async with opened(bucket, now) as objects:
        yield objects


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["at once", "in parts"])
async def test_a_connection_lost_in_the_middle_of_an_upload_is_made_again(
    objects: S3Objects, way: Cuts, body: bytes
) -> None:
    digest = digest_of(body)
    way.up_after = 300_000
    assert await objects.put(digest, in_pieces(body), len(body)) == len(body)
    assert way.cut == 1
    assert await got(objects, digest) == body


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["small", "large"])
async def test_a_connection_lost_in_the_middle_of_a_download_is_made_again(
    objects: S3Objects, way: Cuts, body: bytes
) -> None:
    digest = digest_of(body)
    await objects.put(digest, in_pieces(body), len(body))
    way.down_after = 500_000
    assert await got(objects, digest) == body
    way.down_after = 300_000
    assert await got(objects, digest, 100_000, 650_000) == body[100_000:650_000]
    assert way.cut == 2


async def test_what_is_stored_while_the_store_is_away_is_refused_and_leaves_nothing(
    objects: S3Objects, way: Cuts
) -> None:
    digest = digest_of(LARGE)

    async def cut_off() -> AsyncIterator[bytes]:
        async for piece in in_pieces(LARGE):
            yield piece
            if objects and not way.closed:
                sent.append(piece)
                way.closed = len(sent) == 150  # more than one part

    sent: list[bytes] = []
    with pytest.raises(ObjectsAwayError):
        await objects.put(digest, cut_off(), len(LARGE))
    for asking in (objects.size(digest), got(objects, digest), objects.remove(digest, datetime.now(UTC))):
        with pytest.raises(ObjectsAwayError):
            await asking
    way.closed = False
    assert await objects.size(digest) is None
    assert await all_in(objects) == {}
    assert await objects.put(digest, in_pieces(LARGE), len(LARGE)) == len(LARGE)


async def test_faults_tell_no_keys_and_no_addresses(bucket: Bucket, way: Cuts) -> None:
    async with opened(replace(bucket, secret_key="a wrong secret"), now) as objects:
        with pytest.raises(ObjectsAwayError) as told:
            await objects.put(DIGEST, chunks(BODY), len(BODY))
    way.closed = True
    async with opened(bucket, now) as objects:
        with pytest.raises(ObjectsAwayError) as away:
            await objects.size(DIGEST)
    for text in (str(told.value), str(away.value), repr(bucket)):
        assert "only-for-tests" not in text
        assert "127.0.0.1" not in text


async def test_what_is_stored_again_is_not_removed(
    objects: S3Objects, s3_server: S3Server, bucket: Bucket
) -> None:
    """Somebody is about to refer to it."""
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    long_ago = datetime.now(UTC) - timedelta(days=1)
    await objects._client.copy_object(  # as if it had been stored long ago
        Bucket=BUCKET,
        Key=objects._key(DIGEST),
        CopySource={"Bucket": BUCKET, "Key": objects._key(DIGEST)},
        MetadataDirective="REPLACE",
        Metadata={"mtime": str(long_ago.timestamp())},
    )
    before = datetime.now(UTC) - timedelta(hours=1)
    assert [each.stored_at < before async for each in objects.listed()] == [True]
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    assert not await objects.remove(DIGEST, before)
    assert await got(objects, DIGEST) == BODY


async def test_nobody_relies_on_what_is_just_being_removed(objects: S3Objects) -> None:
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    mark = objects._marks(DIGEST) + "somebody"
    await objects._client.put_object(Bucket=BUCKET, Key=mark, Body=b"")
    with pytest.raises(ObjectsAwayError, match="being removed"):
        await objects.put(DIGEST, chunks(BODY), len(BODY))
    await objects._client.delete_object(Bucket=BUCKET, Key=mark)
    assert await objects.put(DIGEST, chunks(BODY), len(BODY)) == len(BODY)


async def test_a_mark_of_somebody_who_was_killed_does_no_harm(objects: S3Objects) -> None:
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    mark = objects._marks(DIGEST) + "somebody"
    await objects._client.put_object(Bucket=BUCKET, Key=mark, Body=b"", Metadata={"mtime": str(long_ago)})
    assert await objects.put(DIGEST, chunks(BODY), len(BODY)) == len(BODY)
    assert await all_in(objects) == {DIGEST: len(BODY)}


async def test_a_link_gives_the_object_under_its_name(objects: S3Objects) -> None:
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    url = await objects.link(DIGEST, PICTURE)
    assert url is not None
    async with httpx.AsyncClient(verify=False, trust_env=False) as anybody:
        answer = await anybody.get(url)
        part = await anybody.get(url, headers={"Range": "bytes=10-19"})
        wrong = await anybody.get(url.replace(DIGEST, digest_of(b"another")))
    assert (answer.status_code, answer.content) == (200, BODY)
    assert part.content == BODY[10:20]
    assert wrong.status_code == 403


async def test_a_link_is_good_for_so_long(s3_server: S3Server) -> None:
    async with opened(s3_server.bucket(link_s=3), now) as objects:
        await objects.put(DIGEST, chunks(BODY), len(BODY))
        url = await objects.link(DIGEST, PICTURE)
        assert url is not None
        async with httpx.AsyncClient(verify=False, trust_env=False) as anybody:
            assert (await anybody.get(url)).status_code == 200
            async with asyncio.timeout(10):
                while (await anybody.get(url)).status_code == 200:
                    await asyncio.sleep(0.1)
            assert (await anybody.get(url)).status_code in (400, 403)


async def test_two_places_are_one(objects: S3Objects, tmp_path: Path) -> None:
    disk = DiskObjects(tmp_path)
    both = Places(objects, disk)
    old = digest_of(b"old")
    await disk.put(old, chunks(b"old"), 3)
    await both.put(DIGEST, chunks(BODY), len(BODY))
    assert await all_in(objects) == {DIGEST: len(BODY)}
    assert await all_in(both) == {DIGEST: len(BODY), old: 3}
    assert (await both.size(old), await got(both, old), await both.link(old, PICTURE)) == (3, b"old", None)
    assert await got(both, DIGEST, 5, 10) == BODY[5:10]
    assert "X-Amz-Signature" in str(await both.link(DIGEST, PICTURE))
    later = datetime.now(UTC) + timedelta(hours=1)
    await objects.put(old, chunks(b"old"), 3)
    assert await both.remove(old, later)
    assert await both.remove(DIGEST, later)
    assert await all_in(both) == {}
    with pytest.raises(ObjectMissingError):
        await got(both, old)


def test_the_client_of_s3_is_imported_only_where_it_is_needed() -> None:
    looking = "import infra.processes.api, infra.objects, sys; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", looking], check=False).returncode == 0
