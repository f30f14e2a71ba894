"""Executors beside the API: large objects go straight to S3 and come straight from there, and through the API where
the way there is barred."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from msgspec.structs import replace

from adapters.objects.claim_objects import DIRECT_BYTES, HttpClaimObjects
from adapters.outbound.transport import KeptTransport
from adapters.storage.s3 import Bucket, opened
from domain.ids import Digest
from infra.embedded.ports import free_port
from infra.wiring import now
from services.ports.executing import ObjectRefusedError, TokenRefusedError
from services.ports.messages import Assignment
from tests.cuts import Cuts, cuts
from tests.http.executor import ByHand, by_hand
from tests.http.person import Person
from tests.http.test_inputs import loading, png
from tests.http.test_s3 import in_s3
from tests.http.whole import Whole, another_api
from tests.s3 import S3Server
from tests.storage.objects import digest_of, got

LARGE = os.urandom(DIRECT_BYTES)
DIGEST = digest_of(LARGE)


class Watched(KeptTransport):
    """Which requests went out, and with how many bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, int, int]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.method, request.url.port or 0, len(await request.aread())))
        return await super().handle_async_request(request)

    def ports(self) -> set[int]:
        return {port for _, port, _ in self.sent}


@pytest.fixture
async def way(s3_server: S3Server) -> AsyncIterator[Cuts]:
    async with cuts(s3_server.port) as way:
        yield way


@pytest.fixture
def over_s3(served: Whole, way: Cuts, s3_server: S3Server) -> Iterator[Whole]:
    with another_api(replace(served, settings=in_s3(served.settings, way, s3_server))) as whole:
        yield whole


@pytest.fixture
async def hand(over_s3: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(over_s3) as executor:
        yield executor


@pytest.fixture
async def claimed(ann: Person, hand: ByHand) -> AsyncIterator[Assignment]:
    claimed = await hand.claim(await ann.run(await ann.workflow()))
    yield claimed
    await hand.fail(claimed)


@pytest.fixture
def bucket(s3_server: S3Server) -> Bucket:
    return replace(s3_server.bucket(), prefix="whole/")


@asynccontextmanager
async def objects_of(whole: Whole) -> AsyncIterator[tuple[HttpClaimObjects, Watched]]:
    async with Watched() as transport:
        yield HttpClaimObjects(whole.url, transport), transport


async def kept(bucket: Bucket, digest: Digest) -> bytes:
    async with opened(bucket, now) as objects:
        return await got(objects, digest)


async def emptied(bucket: Bucket, digest: Digest) -> None:
    async with opened(bucket, now) as objects:
        await objects._client.delete_object(Bucket=bucket.name, Key=objects._key(digest))


async def test_a_large_output_goes_beside_the_api(
    over_s3: Whole, claimed: Assignment, s3_server: S3Server, bucket: Bucket
) -> None:
    await emptied(bucket, DIGEST)
    async with objects_of(over_s3) as (store, transport):
        await store.put(DIGEST, LARGE, "image/png", claimed.token)
        api = over_s3.settings.port
        assert transport.sent == [("GET", api, 0), ("PUT", s3_server.port, len(LARGE)), ("PUT", api, 0)]
        assert await kept(bucket, DIGEST) == LARGE
        await store.put(DIGEST, LARGE, "image/png", claimed.token)  # again it changes nothing
        small = digest_of(b"small")
        await store.put(small, b"small", "image/png", claimed.token)
        assert transport.sent[-1] == ("PUT", api, 5)
    assert await kept(bucket, DIGEST) == LARGE


async def test_where_s3_cannot_be_reached_outputs_go_through_the_api(
    served: Whole, way: Cuts, s3_server: S3Server, bucket: Bucket, claimed: Assignment
) -> None:
    await emptied(bucket, DIGEST)
    in_bucket = in_s3(served.settings, way, s3_server)
    settings = replace(in_bucket, s3_public_endpoint=f"http://127.0.0.1:{free_port()}")
    with another_api(replace(served, settings=settings)) as whole:
        async with objects_of(whole) as (store, transport):
            await store.put(DIGEST, LARGE, "image/png", claimed.token)
            assert transport.sent[-1] == ("PUT", whole.settings.port, len(LARGE))
            del transport.sent[:]
            await store.put(DIGEST, LARGE, "image/png", claimed.token)
            assert transport.ports() == {whole.settings.port}  # it is not tried each time
    assert await kept(bucket, DIGEST) == LARGE


async def test_an_executor_cannot_store_other_bytes_under_a_digest(
    over_s3: Whole, claimed: Assignment, bucket: Bucket
) -> None:
    await emptied(bucket, DIGEST)
    async with objects_of(over_s3) as (store, _):
        with pytest.raises(ObjectRefusedError):
            await store.put(DIGEST, os.urandom(len(LARGE)), "image/png", claimed.token)
        with pytest.raises(ObjectRefusedError):  # more than an object may have
            await store.put(digest_of(LARGE * 2), LARGE * 2, "image/png", claimed.token)
        with pytest.raises(TokenRefusedError):
            await store.put(DIGEST, LARGE, "image/png", claimed.token + "x")
    async with opened(bucket, now) as objects:
        assert await objects.size(DIGEST) is None


async def test_an_input_comes_from_beside_the_api(
    ann: Person, over_s3: Whole, hand: ByHand, s3_server: S3Server, way: Cuts
) -> None:
    """A picture that was uploaded to another API process is on the disk: that comes through the API."""
    on_disk = await ann.upload(png(31, 31))
    ann.http.base_url = httpx.URL(over_s3.url)
    in_bucket = await ann.upload(png(32, 32))
    for stored, expected in ((in_bucket, s3_server.port), (on_disk, over_s3.settings.port)):
        run = (await ann.post("/runs", {"graph": loading(stored["digest"])}))["id"]
        claimed = await hand.claim(run)
        async with objects_of(over_s3) as (store, transport):
            body = await store.get(stored["digest"], claimed.token)
            assert digest_of(body) == stored["digest"]
            assert transport.sent[-1] == ("GET", expected, 0)
            async with store.download(stored["digest"], claimed.token) as coming:
                pieces = b"".join([piece async for piece in coming.chunks])
            assert (pieces, coming.size_bytes) == (body, len(body))
            with pytest.raises(ObjectRefusedError):
                await store.get(DIGEST, claimed.token)
        await hand.fail(claimed)
