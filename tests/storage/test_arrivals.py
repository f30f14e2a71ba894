"""What is PUT into the bucket by a link: an object only if it is what it is called, whoever had the link."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from adapters.storage.disk import DiskObjects
from adapters.storage.places import Places
from adapters.storage.s3 import COPIED_BYTES, S3Objects, opened
from adapters.storage.s3_arrivals import Arrivals
from commands.ports import ObjectMissingError, ObjectTooLarge, WrongDigest
from domain.ids import Digest
from infra.wiring import now
from tests.s3 import BUCKET, S3Server, fresh
from tests.storage.objects import BODY, DIGEST, all_in, chunks, got

ARRIVAL = f"some run/1/{DIGEST}"


@pytest.fixture
async def objects(s3_server: S3Server) -> AsyncIterator[S3Objects]:
    async with fresh(s3_server) as objects:
        yield objects


@pytest.fixture
async def anybody() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        yield client


async def placed(objects: S3Objects, size_bytes: int = len(BODY)) -> str:
    url = await objects.place(ARRIVAL, size_bytes)
    assert url is not None
    return url


async def left(objects: S3Objects) -> list[str]:
    """Whatever is in the bucket that is no object."""
    keys = [each["Key"] async for each in objects._under(objects._bucket.prefix)]
    return [key for key in keys if not key.startswith(objects._key(Digest("")))]


async def test_what_has_arrived_is_an_object_once_it_is_taken(
    objects: S3Objects, anybody: httpx.AsyncClient
) -> None:
    assert (await anybody.put(await placed(objects), content=BODY)).status_code == 200
    assert await objects.size(DIGEST) is None
    assert await objects.take(ARRIVAL, DIGEST, len(BODY)) == len(BODY)
    assert await got(objects, DIGEST) == BODY
    assert await left(objects) == []
    with pytest.raises(ObjectMissingError):
        await objects.take(ARRIVAL, DIGEST, len(BODY))


async def test_what_is_there_already_counts_as_stored_now(
    objects: S3Objects, anybody: httpx.AsyncClient
) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    await objects._client.put_object(
        Bucket=BUCKET, Key=objects._key(DIGEST), Body=BODY, Metadata={"mtime": str(long_ago)}
    )
    await anybody.put(await placed(objects), content=BODY)
    assert await objects.take(ARRIVAL, DIGEST, len(BODY)) == len(BODY)
    assert not await objects.remove(DIGEST, datetime.now(UTC) - timedelta(hours=1))


async def test_other_bytes_are_never_the_object(objects: S3Objects, anybody: httpx.AsyncClient) -> None:
    other = os.urandom(len(BODY))
    await anybody.put(await placed(objects), content=other)
    with pytest.raises(WrongDigest):
        await objects.take(ARRIVAL, DIGEST, len(BODY))
    await anybody.put(await placed(objects), content=BODY)
    with pytest.raises(ObjectTooLarge):
        await objects.take(ARRIVAL, DIGEST, len(BODY) - 1)
    assert await all_in(objects) == {}
    assert await left(objects) == []


async def test_other_bytes_do_no_harm_to_what_is_there(
    objects: S3Objects, anybody: httpx.AsyncClient
) -> None:
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    await anybody.put(await placed(objects), content=os.urandom(len(BODY)))
    with pytest.raises(WrongDigest):
        await objects.take(ARRIVAL, DIGEST, len(BODY))
    assert await got(objects, DIGEST) == BODY


class WrittenAgain(Arrivals):
    """Whoever has the link uses it once more, whenever something was copied."""

    def __init__(self, objects: S3Objects, again: Callable[[], Awaitable[None]]) -> None:
        bucket = objects._bucket
        super().__init__(objects._client, objects._signer, bucket.name, bucket.prefix, now)
        self._again = again

    async def _copy(self, source: str, target: str) -> None:
        await super()._copy(source, target)
        await self._again()


async def test_who_writes_again_while_it_is_looked_at_changes_nothing(
    objects: S3Objects, anybody: httpx.AsyncClient
) -> None:
    url, answers = await placed(objects), []

    async def again() -> None:
        answers.append((await anybody.put(url, content=os.urandom(len(BODY)))).status_code)

    await anybody.put(url, content=BODY)
    objects._arrivals = WrittenAgain(objects, again)
    assert await objects.take(ARRIVAL, DIGEST, len(BODY)) == len(BODY)
    assert answers == [200, 200]
    assert await got(objects, DIGEST) == BODY


async def test_a_link_is_good_for_its_place_and_so_many_bytes(
    objects: S3Objects, anybody: httpx.AsyncClient
) -> None:
    url = await placed(objects)
    assert (await anybody.get(url)).status_code == 403
    assert (await anybody.put(url, content=BODY + b"!")).status_code == 403
    assert (await anybody.put(url.replace("arriving", "objects"), content=BODY)).status_code == 403
    assert await left(objects) == []
    assert await all_in(objects) == {}


async def test_what_nobody_came_back_for_is_cleared_away(
    objects: S3Objects, anybody: httpx.AsyncClient
) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    arriving = f"{objects._bucket.prefix}arriving/"
    await objects._client.put_object(
        Bucket=BUCKET, Key=f"{arriving}dead/1/{DIGEST}", Body=b"x", Metadata={"mtime": str(long_ago)}
    )
    await objects._client.put_object(Bucket=BUCKET, Key=f"{arriving}alive/1/{DIGEST}", Body=b"x")
    await placed(objects)
    assert await left(objects) == [f"{arriving}alive/1/{DIGEST}"]


async def test_where_there_are_no_links_there_are_no_places(
    objects: S3Objects, s3_server: S3Server, tmp_path: Path
) -> None:
    disk = DiskObjects(tmp_path)
    assert await objects.place(ARRIVAL, COPIED_BYTES + 1) is None
    assert await disk.place(ARRIVAL, 1) is None
    assert await Places(disk, objects).place(ARRIVAL, 1) is None
    assert await Places(objects, disk).place(ARRIVAL, 1) is not None
    with pytest.raises(ObjectMissingError):
        await disk.take(ARRIVAL, DIGEST, 1)
    async with opened(s3_server.bucket(link_s=None), now) as streaming:
        assert await streaming.place(ARRIVAL, 1) is None
