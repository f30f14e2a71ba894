"""Following a run as it happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from adapters.http import presence
from adapters.http.parts import Parts
from domain.ids import AccountId, Digest, RunId
from domain.outcome import Output
from services.ports.messages import Progress, Started, Stored
from services.ports.watching import Live, Watcher
from tests.http.executor import ByHand, by_hand
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.whole import Whole, another_api

PATIENCE_S = 20.0


@pytest.fixture
async def hand(served: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(served) as executor:
        yield executor


class Happening:
    """One server-sent event."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.kind = fields.get("event", "")
        self.id = int(fields["id"]) if "id" in fields else None
        self.content: dict[str, Any] = json.loads(fields["data"])


@asynccontextmanager
async def following(person: Person, run: str, last: object = None) -> AsyncIterator[AsyncIterator[Happening]]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with (
        asyncio.timeout(PATIENCE_S),
        person.http.stream("GET", f"/api/v1/runs/{run}/live", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield happenings(answer)


async def happenings(answer: httpx.Response) -> AsyncIterator[Happening]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            continue
        if not line:
            if fields:
                yield Happening(fields)
            fields = {}
            continue
        name, _, value = line.partition(": ")
        fields[name] = value


async def facts(person: Person, run: str, last: object = None) -> list[Happening]:
    """All of them, until the run is over and the stream ends by itself."""
    async with following(person, run, last) as happening:
        return [each async for each in happening if each.kind == "state"]


async def test_a_run_is_followed_to_its_end(ann: Person, hand: ByHand) -> None:
    run = await ann.run(await ann.workflow())
    async with following(ann, run) as happening:
        assert (await anext(happening)).content["status"] == "queued"
        claimed = await hand.claim(run)
        assert (await anext(happening)).content["topic"] == "run.claimed.v1"
        await hand.start(claimed)
        assert (await anext(happening)).content["status"] == "running"
        await hand.step(claimed, 40.0)
        step = await anext(happening)
        assert (step.kind, step.id, step.content["percent"]) == ("progress", None, 40.0)
        await hand.succeed(claimed)
        end = await anext(happening)
        assert (end.kind, end.content["status"]) == ("state", "succeeded")
        assert [each async for each in happening] == []


async def test_whoever_comes_back_hears_only_what_is_new(ann: Person, hand: ByHand) -> None:
    run = await ann.run(await ann.workflow())
    await hand.fail(await hand.claim(run))
    told = await facts(ann, run)
    topics = [each.content["topic"] for each in told]
    assert topics[:3] == ["run.submitted.v1", "run.claimed.v1", "run.started.v1"]
    assert told[-1].content["status"] == "failed"
    ids = [each.id or 0 for each in told]
    assert ids == sorted(set(ids))
    assert ids == [each.content["position"] for each in told]
    for seen in range(len(told) + 1):
        last = ids[seen - 1] if seen else 0
        assert [each.id for each in await facts(ann, run, last)] == ids[seen:]


@pytest.mark.parametrize("last", ["", "x", "-5", "9" * 30, "1e3", "0x10"])
async def test_a_place_that_is_none_means_from_the_beginning(ann: Person, last: str) -> None:
    run = await ann.run(await ann.workflow())
    await ann.post(f"/runs/{run}/cancel")
    assert len(await facts(ann, run, last)) == 2


async def test_whoever_comes_late_sees_how_far_it_is(ann: Person, hand: ByHand) -> None:
    run = await ann.run(await ann.workflow())
    async with following(ann, run) as first:
        claimed = await hand.claim(run)
        await hand.start(claimed)
        await hand.step(claimed, 70.0)
        while (await anext(first)).kind != "progress":
            continue
        async with following(ann, run) as second:
            late = [await anext(second) for _ in range(4)]
            assert [each.kind for each in late] == ["state", "state", "state", "progress"]
            assert late[-1].content["percent"] == 70.0
            await ann.post(f"/runs/{run}/cancel")
            for happening in (first, second):
                rest = [each async for each in happening]
                assert rest[-1].content["status"] == "cancelled"


async def test_a_run_of_many_outputs_can_be_followed(ann: Person, hand: ByHand) -> None:
    run = await ann.run(await ann.workflow())
    claimed = await hand.claim(run)
    outputs = [Output("2", index, f"{index}.png", Digest("ab" * 32), 10, "image/png") for index in range(120)]
    await hand.report(claimed, Started(), *[Stored(output=output) for output in outputs])
    for _ in range(2):  # the state is kept as a snapshot after the first time
        async with following(ann, run) as happening:
            told = [await anext(happening) for _ in range(123)]
            assert [each.kind for each in told] == ["state"] * 123
    await hand.succeed(claimed)
    assert len(await facts(ann, run)) == 124


async def test_only_its_owner_follows_a_run(ann: Person, bob: Person, nobody: Person) -> None:
    run = await ann.run(await ann.workflow())
    refused(await bob.ask("GET", f"/runs/{run}/live"), 404)
    refused(await nobody.ask("GET", f"/runs/{run}/live"), 401)
    await ann.post(f"/runs/{run}/cancel")


async def test_whoever_leaves_is_no_longer_watched_for(served: Whole, ann: Person) -> None:
    run, watching = await ann.run(await ann.workflow()), CountingLive()

    @asynccontextmanager
    async def counted(parts: Parts) -> AsyncIterator[Parts]:
        watching.live = parts.live
        yield replace(parts, live=watching)

    with another_api(served, counted) as whole:
        headers = dict(ann.http.headers)
        async with (
            httpx.AsyncClient(base_url=whole.url, headers=headers, verify=False, trust_env=False) as http,
            http.stream("GET", f"/api/v1/runs/{run}/live") as answer,
        ):
            await anext(happenings(answer))
            assert watching.count == 1
        async with asyncio.timeout(PATIENCE_S):
            while watching.count:
                await asyncio.sleep(0.01)
    await ann.post(f"/runs/{run}/cancel")


class CountingLive:
    """Counts who is watching."""

    live: Live

    def __init__(self) -> None:
        self.count = 0

    @asynccontextmanager
    async def watch(self, account: AccountId, run: RunId) -> AsyncIterator[Watcher]:
        async with self.live.watch(account, run) as watcher:
            self.count += 1
            try:
                yield watcher
            finally:
                self.count -= 1

    async def last_progress(self, account: AccountId, run: RunId) -> Progress | None:
        return await self.live.last_progress(account, run)


async def test_asking_for_the_head_of_a_live_stream_does_not_hang(ann: Person) -> None:
    run = await ann.run(await ann.workflow())
    answer = await ann.http.head(f"/api/v1/runs/{run}/live", timeout=PATIENCE_S)
    assert answer.status_code == 405
    await ann.post(f"/runs/{run}/cancel")


async def test_an_account_follows_a_bounded_number_of_runs_at_once(
    ann: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "MANY", 2)
    run, other = await ann.run(await ann.workflow()), await bob.run(await bob.workflow())
    async with following(ann, run) as first, following(ann, run) as second:
        await anext(first)
        await anext(second)
        asked = await ann.ask("GET", f"/runs/{run}/live")
        refused(asked, 429)
        assert int(asked.headers["Retry-After"]) > 0
        async with following(bob, other) as happening:
            await anext(happening)
    await ann.post(f"/runs/{run}/cancel")
    async with asyncio.timeout(PATIENCE_S):
        while (await ann.ask("GET", f"/runs/{run}/live")).status_code == 429:
            await asyncio.sleep(0.01)  # until it is noticed that they have gone
    await bob.post(f"/runs/{other}/cancel")
