"""Files of runs as they are fetched: whole, in part, or not again."""

import os
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.executor import ByHand, by_hand
from tests.http.person import Person, client
from tests.http.problems import refused
from tests.http.test_runs import until
from tests.http.whole import Whole

FILM = os.urandom(700_000)
PARTS = {
    "bytes=0-": (0, 700_000),
    "bytes=0-0": (0, 1),
    "bytes=300000-599999": (300_000, 600_000),
    "bytes=699990-9999999": (699_990, 700_000),
    "bytes=-10": (699_990, 700_000),
    "bytes=-9999999": (0, 700_000),
}
NO_PARTS = [
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=5-4",
    "bytes=0-1,5-6",
    "lines=0-1",
    "bytes=a-b",
    "bytes=٣-٤",
]


@pytest.fixture
async def hand(served: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(served) as executor:
        yield executor


@pytest.fixture
async def url(ann: Person, hand: ByHand) -> str:
    run = await ann.run(await ann.workflow())
    claimed = await hand.claim(run)
    await hand.start(claimed)
    await hand.store(claimed, FILM, index=0, name="film.mp4")
    await hand.succeed(claimed)
    shown = await until(ann, run, "succeeded")
    return str(shown["outputs"][0]["url"])  # type: ignore[index]


@pytest.fixture
async def anybody() -> AsyncIterator[httpx.AsyncClient]:
    async with client() as http:
        yield http


async def test_a_part_of_a_file_can_be_fetched(url: str, anybody: httpx.AsyncClient) -> None:
    whole = await anybody.get(url)
    assert (whole.status_code, whole.content) == (200, FILM)
    assert whole.headers["accept-ranges"] == "bytes"
    for asked, (start, end) in PARTS.items():
        part = await anybody.get(url, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, FILM[start:end]), asked
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(FILM)}"
        assert part.headers["content-length"] == str(end - start)


async def test_a_part_that_makes_no_sense_is_the_whole(url: str, anybody: httpx.AsyncClient) -> None:
    for asked in NO_PARTS:
        answer = await anybody.get(url, headers={"Range": asked.encode()})
        assert (answer.status_code, len(answer.content)) == (200, len(FILM)), asked
    another = await anybody.get(url, headers={"Range": "bytes=0-0", "If-Range": '"another"'})
    assert another.status_code == 200


async def test_a_part_that_is_not_there_is_refused(url: str, anybody: httpx.AsyncClient) -> None:
    for asked in ("bytes=700000-", "bytes=999999999-", "bytes=-0"):
        told = refused(await anybody.get(url, headers={"Range": asked}), 416)
        assert "700000 bytes" in told["detail"]


async def test_a_file_that_is_known_is_not_sent_again(url: str, anybody: httpx.AsyncClient) -> None:
    etag = (await anybody.get(url)).headers["etag"]
    again = await anybody.get(url, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert (await anybody.get(url, headers={"If-None-Match": '"other"'})).status_code == 200
