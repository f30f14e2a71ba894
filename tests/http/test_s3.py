"""Files of runs in S3: fetched from there by links or through the API, and stored when it is back."""

import io
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit
from zipfile import ZipFile

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from adapters.objects.claim_objects import HttpClaimObjects
from adapters.outbound.transport import KeptTransport
from adapters.storage.s3 import opened
from domain.ids import Digest
from infra.exporting import exporting
from infra.settings import Settings
from infra.wiring import now
from services.ports.executing import ObjectsUnavailableError
from tests.cuts import Cuts, cuts
from tests.http.errands import errand
from tests.http.executor import ByHand, by_hand
from tests.http.person import Person, client, joined
from tests.http.problems import refused
from tests.http.test_exports import ready
from tests.http.test_runs import until
from tests.http.whole import Whole, another_api, beside
from tests.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server
from tests.storage.objects import BODY, DIGEST, got


@pytest.fixture
async def way(s3_server: S3Server) -> AsyncIterator[Cuts]:
    async with cuts(s3_server.port) as way:
        yield way


def in_s3(settings: Settings, way: Cuts, server: S3Server, **changes: str) -> Settings:
    return replace(
        settings,
        s3_bucket=BUCKET,
        s3_endpoint=way.url,
        s3_public_endpoint=server.url,
        s3_access_key=ACCESS_KEY,
        s3_secret_key=SECRET_KEY,
        s3_prefix="whole/",
        s3_path_style=True,
        **changes,
    )


@pytest.fixture
def over_s3(served: Whole, way: Cuts, s3_server: S3Server) -> Iterator[Whole]:
    with another_api(replace(served, settings=in_s3(served.settings, way, s3_server))) as whole:
        yield whole


@pytest.fixture
async def hand(over_s3: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(over_s3) as executor:
        yield executor


async def stored(ann: Person, hand: ByHand, name: str) -> str:
    """The path and query of its address."""
    run = await ann.run(await ann.workflow())
    claimed = await hand.claim(run)
    await hand.start(claimed)
    await hand.store(claimed, BODY, index=0, name=name)
    await hand.succeed(claimed)
    shown = await until(ann, run, "succeeded")
    address = urlsplit(str(shown["outputs"][0]["url"]))  # type: ignore[index]
    return f"{address.path}?{address.query}"


async def test_files_are_in_s3_and_fetched_from_there(
    ann: Person, hand: ByHand, over_s3: Whole, s3_server: S3Server, served: Whole
) -> None:
    address = await stored(ann, hand, "a.png")
    assert not (served.settings.data / "objects" / DIGEST[:2] / DIGEST).exists()
    async with client() as anybody:
        told = await anybody.get(over_s3.url + address)
        assert told.status_code == 307
        assert told.headers["location"].startswith(s3_server.url)
        assert "max-age=60" in told.headers["cache-control"]
        fetched = await anybody.get(told.headers["location"])
        refused(await anybody.get(over_s3.url + address.replace("signature=", "signature=x")), 404)
    assert fetched.content == BODY


async def test_files_can_be_fetched_through_the_api(
    ann: Person, hand: ByHand, over_s3: Whole, way: Cuts
) -> None:
    address = await stored(ann, hand, "a.mp4")
    streaming = replace(over_s3, settings=replace(over_s3.settings, s3_downloads="stream"))
    with another_api(streaming) as whole:
        async with client() as anybody:
            fetched = await anybody.get(whole.url + address)
            part = await anybody.get(whole.url + address, headers={"Range": "bytes=300000-"})
            way.down_after = 400_000
            broken = await anybody.get(whole.url + address)
            way.closed = True
            refused(await anybody.get(whole.url + address), 503)
    assert (fetched.status_code, fetched.content, broken.content) == (200, BODY, BODY)
    assert (part.status_code, part.content) == (206, BODY[300_000:])
    assert way.cut == 1


async def test_an_executor_stores_its_outputs_when_the_store_is_back(
    ann: Person, hand: ByHand, over_s3: Whole, way: Cuts, s3_server: S3Server
) -> None:
    claimed = await hand.claim(await ann.run(await ann.workflow()))
    async with KeptTransport() as transport:
        store = HttpClaimObjects(over_s3.url, transport)
        way.closed = True
        with pytest.raises(ObjectsUnavailableError):
            await store.put(DIGEST, BODY, "image/png", claimed.token)
        way.closed = False
        way.up_after = 300_000
        await store.put(DIGEST, BODY, "image/png", claimed.token)
    await hand.fail(claimed)
    bucket = replace(s3_server.bucket(), prefix="whole/")
    async with opened(bucket, now) as objects:
        assert await got(objects, Digest(DIGEST)) == BODY


async def test_the_health_of_the_store_is_told(over_s3: Whole, way: Cuts) -> None:
    async def told(http: httpx.AsyncClient) -> dict[str, str]:
        return dict((await http.get(f"{over_s3.url}/health/detailed")).json()["parts"]["object store"])

    async with client() as anybody:
        assert await told(anybody) == {"status": "ok", "detail": "answering"}
        way.closed = True
        assert (await told(anybody))["status"] == "failing"


async def test_an_export_is_in_s3_and_fetched_from_there(
    over_s3: Whole, s3_server: S3Server, served: Whole
) -> None:
    async with joined(over_s3) as person:
        asked = await person.post("/accounts/me/export")
        with beside(errand(lambda: exporting(over_s3.settings))):
            url = (await ready(person))["url"]
        assert not (served.settings.data / "exports").exists()
        async with client() as http:
            told = await http.get(url)
            assert (told.status_code, told.headers["cache-control"]) == (307, "private, no-store")
            assert told.headers["location"].startswith(s3_server.url)
            answer = await http.get(told.headers["location"])
        with ZipFile(io.BytesIO(answer.content)) as archive:
            assert msgspec.json.decode(archive.read("account.json"))["username"] == person.name
        settings = replace(over_s3.settings, s3_downloads="stream")
        with another_api(replace(over_s3, settings=settings)) as other:
            async with client() as http:
                passed = await http.get(url.replace(over_s3.url, other.url), headers={"Range": "bytes=0-1"})
        assert (passed.status_code, passed.content) == (206, b"PK")
        assert str(asked["id"]) in url
