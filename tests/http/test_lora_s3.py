"""LoRAs in S3: there as soon as they are whole, brought to executors from there, gone with the last who has them."""

import hashlib
from collections.abc import AsyncIterator, Iterator

import pytest
from msgspec.structs import replace

from adapters.storage.s3 import S3Objects, opened
from adapters.storage.s3_lora_files import S3LoraFiles
from domain.ids import Digest
from infra.erasing import erasing
from infra.loras import tidying
from infra.wiring import now
from tests.cuts import Cuts, cuts
from tests.http.errands import errand, eventually
from tests.http.executor import by_hand
from tests.http.person import client, joined
from tests.http.problems import refused
from tests.http.test_beside import objects_of
from tests.http.test_erasure import erased
from tests.http.test_lora_runs import HAS, graph, uploaded
from tests.http.test_lora_tidying import hasty, put
from tests.http.test_s3 import in_s3
from tests.http.test_uploads import begun, fresh, piece, sent
from tests.http.whole import Whole, another_api, beside
from tests.s3 import S3Server
from tests.storage.objects import got


@pytest.fixture
async def way(s3_server: S3Server) -> AsyncIterator[Cuts]:
    async with cuts(s3_server.port) as way:
        yield way


@pytest.fixture
def over_s3(own: Whole, way: Cuts, s3_server: S3Server) -> Iterator[Whole]:
    with another_api(replace(own, settings=in_s3(own.settings, way, s3_server))) as whole:
        yield whole


@pytest.fixture
async def bucket(s3_server: S3Server) -> AsyncIterator[S3Objects]:
    async with opened(replace(s3_server.bucket(), prefix="whole/"), now) as objects:
        yield objects


def digest_of(file: bytes) -> Digest:
    return Digest(hashlib.sha256(file).hexdigest())


async def names(bucket: S3Objects, owner: str) -> set[str]:
    found = {name async for name, _ in S3LoraFiles(bucket, now).names()}
    return {name for name in found if name.startswith(f"user-{owner}/")}


async def test_an_uploaded_lora_is_in_s3_and_comes_from_there(
    over_s3: Whole, bucket: S3Objects, s3_server: S3Server
) -> None:
    file, in_pieces = fresh(extra=1_000_000), fresh(extra=1_000_000)
    async with joined(over_s3) as ann:
        shown = await uploaded(ann, file, "hers")
        at = await begun(ann, len(in_pieces), name="other")
        await piece(ann, at, 0, in_pieces[:500_000])
        assert (await piece(ann, at, 500_000, in_pieces[500_000:])).is_success
        assert len(await names(bucket, ann.id)) == 2
        assert await got(bucket, digest_of(file)) == file
        assert await got(bucket, digest_of(in_pieces)) == in_pieces
        data = over_s3.settings.data
        assert not (data / "objects" / f"user-{ann.id}").exists()
        assert not any((data / "uploads").iterdir())
        told = await ann.ask("GET", f"/loras/{shown['id']}/file")
        async with client() as anybody:
            assert (await anybody.get(told.headers["location"])).content == file
        run = (await ann.post("/runs", {"graph": graph("hers")}))["id"]
        async with by_hand(over_s3) as hand, objects_of(over_s3) as (store, transport):
            await hand.has(HAS)
            claimed = await hand.claim(run)
            async with store.download(digest_of(file), claimed.token) as coming:
                assert b"".join([each async for each in coming.chunks]) == file
            assert transport.sent[-1] == ("GET", s3_server.port, 0)
            await hand.fail(claimed)


async def test_a_deleted_lora_goes_from_s3_with_the_last_who_has_it(
    over_s3: Whole, bucket: S3Objects
) -> None:
    shared = fresh()
    async with joined(over_s3) as ann, joined(over_s3) as bob:
        hers, his = await put(ann, shared, "hers"), await put(bob, shared, "his")
        await ann.ask("DELETE", f"/loras/{hers}")
        with beside(errand(lambda: tidying(hasty(over_s3)))):
            await eventually(lambda: _is_none(bucket, ann.id))
            assert await got(bucket, digest_of(shared)) == shared
            await bob.ask("DELETE", f"/loras/{his}")
            await eventually(lambda: _is_gone(bucket, shared))


async def test_an_erased_account_leaves_no_lora_in_either_store(
    own: Whole, over_s3: Whole, bucket: S3Objects
) -> None:
    before, since = fresh(), fresh()
    async with joined(own) as ann:
        await put(ann, before, "on the disk")
        ann.http.base_url = over_s3.url  # as after the settings have changed
        await put(ann, since, "in the bucket")
        assert len((await ann.get("/loras"))["items"]) == 2
        with (
            beside(errand(lambda: erasing(hasty(over_s3)))),
            beside(errand(lambda: tidying(hasty(over_s3)))),
        ):
            await erased(ann)
            await eventually(lambda: _is_gone(bucket, since))
            await eventually(lambda: _is_none(bucket, ann.id))
            on_disk = own.settings.data / "objects" / digest_of(before)[:2] / digest_of(before)
            await eventually(lambda: _is_not_there(on_disk.exists()))


async def test_an_upload_that_s3_was_away_for_is_finished_later(
    over_s3: Whole, bucket: S3Objects, way: Cuts
) -> None:
    file = fresh()
    async with joined(over_s3) as ann:
        at = await begun(ann, len(file))
        way.closed = True
        refused(await piece(ann, at, 0, file), 503)
        refused(await ann.ask("POST", "/loras", **sent(fresh())), 503)
        way.closed = False
        with beside(errand(lambda: tidying(hasty(over_s3)))):
            await eventually(lambda: _is_there(bucket, file))
        assert await got(bucket, digest_of(file)) == file
        assert len(await names(bucket, ann.id)) == 1


async def _is_none(bucket: S3Objects, owner: str) -> bool:
    return await names(bucket, owner) == set()


async def _is_there(bucket: S3Objects, file: bytes) -> bool:
    return await bucket.size(digest_of(file)) is not None


async def _is_gone(bucket: S3Objects, file: bytes) -> bool:
    return await bucket.size(digest_of(file)) is None


async def _is_not_there(there: bool) -> bool:
    return not there
