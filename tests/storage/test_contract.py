"""What every object store does: an object is whole, or not there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.storage.disk import DiskObjects
from commands.ports import ObjectMissingError, Objects, ObjectTooLarge, WrongDigest
from tests.s3 import fresh
from tests.storage.objects import BODY, DIGEST, all_in, breaking_off, chunks, digest_of, endless, got

SLACK = timedelta(seconds=5)  # between our clock and the store's


@pytest.fixture(params=["disk", "s3"])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Objects]:
    if request.param == "disk":
        yield DiskObjects(tmp_path)
    else:
        async with fresh(request.getfixturevalue("s3_server")) as opened:
            yield opened


async def test_what_is_put_is_there_under_its_digest(objects: Objects) -> None:
    assert await objects.size(DIGEST) is None
    assert await objects.put(DIGEST, chunks(BODY[:300_000], b"", BODY[300_000:]), len(BODY)) == len(BODY)
    assert await objects.size(DIGEST) == len(BODY)
    assert await got(objects, DIGEST) == BODY
    assert await all_in(objects) == {DIGEST: len(BODY)}


async def test_an_empty_object_is_an_object(objects: Objects) -> None:
    digest = digest_of(b"")
    assert await objects.put(digest, chunks(), 0) == 0
    assert await objects.size(digest) == 0
    assert await got(objects, digest) == b""


async def test_an_object_that_is_not_there_cannot_be_read(objects: Objects) -> None:
    with pytest.raises(ObjectMissingError):
        await got(objects, DIGEST)
    with pytest.raises(ObjectMissingError):
        await got(objects, DIGEST, 10, 20)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 1),
        (0, 262_144),
        (1, 262_146),
        (699_999, None),
        (300_000, None),
        (5, 5),
        (0, 9_000_000),
        (700_000, None),
    ],
)
async def test_a_part_of_an_object_can_be_read(objects: Objects, start: int, end: int | None) -> None:
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    assert await got(objects, DIGEST, start, end) == BODY[start:end]


async def test_reading_may_end_early(objects: Objects) -> None:
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    async with aclosing(objects.read(DIGEST)) as reading:  # type: ignore[type-var]
        assert BODY.startswith(await anext(reading))
    assert await got(objects, DIGEST) == BODY


async def test_what_fails_leaves_nothing(objects: Objects) -> None:
    with pytest.raises(WrongDigest):
        await objects.put(DIGEST, chunks(BODY, b"!"), 10**9)
    with pytest.raises(ObjectTooLarge):
        await objects.put(DIGEST, chunks(BODY), len(BODY) - 1)
    with pytest.raises(ConnectionResetError):
        await objects.put(DIGEST, breaking_off(BODY), 10**9)
    for body in ((BODY,) * 30 + (b"!",), (b"!",)):  # in parts, and at once
        with pytest.raises(WrongDigest):
            await objects.put(DIGEST, chunks(*body), 10**9)
    assert await objects.size(DIGEST) is None
    assert await all_in(objects) == {}


async def test_an_upload_that_is_given_up_leaves_nothing(objects: Objects) -> None:
    begun = asyncio.Event()

    async def telling() -> AsyncIterator[bytes]:
        sent = 0
        async for body in endless():
            yield body
            sent += len(body)
            if sent > 12 << 20:
                begun.set()

    task = asyncio.create_task(objects.put(DIGEST, telling(), 10**12))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await objects.size(DIGEST) is None
    assert await all_in(objects) == {}


async def test_a_failed_upload_does_not_harm_what_is_there(objects: Objects) -> None:
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    with pytest.raises(WrongDigest):
        await objects.put(DIGEST, chunks(b"something else"), len(BODY))
    with pytest.raises(ConnectionResetError):
        await objects.put(DIGEST, breaking_off(BODY), len(BODY))
    assert await got(objects, DIGEST) == BODY


async def test_many_put_one_object_at_once(objects: Objects) -> None:
    halves = (BODY[:350_000], BODY[350_000:])
    sizes = await asyncio.gather(*(objects.put(DIGEST, chunks(*halves), len(BODY)) for _ in range(8)))
    assert sizes == [len(BODY)] * 8
    assert await got(objects, DIGEST) == BODY
    assert await all_in(objects) == {DIGEST: len(BODY)}


async def test_a_large_object_is_whole(objects: Objects) -> None:
    bodies = [BODY] * 40  # more than one part, where there are parts
    digest = digest_of(b"".join(bodies))
    assert await objects.put(digest, chunks(*bodies), 10**9) == 40 * len(BODY)
    assert await objects.size(digest) == 40 * len(BODY)
    assert await got(objects, digest) == b"".join(bodies)
    assert await got(objects, digest, 20_000_000, 20_700_000) == b"".join(bodies)[20_000_000:20_700_000]
    assert await objects.put(digest, chunks(*bodies), 10**9) == 40 * len(BODY)  # again


async def test_an_object_is_removed_once_it_is_settled(objects: Objects) -> None:
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    before, after = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    assert not await objects.remove(DIGEST, before)
    assert await objects.size(DIGEST) == len(BODY)
    assert await objects.remove(DIGEST, after)
    assert await objects.size(DIGEST) is None
    assert await objects.remove(DIGEST, after)
    assert await all_in(objects) == {}


async def test_it_is_told_since_when_an_object_is_there(objects: Objects) -> None:
    await objects.put(DIGEST, chunks(BODY), len(BODY))
    (found,) = [each async for each in objects.listed()]
    assert abs(found.stored_at - datetime.now(UTC)) < SLACK
