"""Many runs over one WebSocket: facts and progress, for their owner, for as long as the session lasts."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from adapters.http.parts import Parts
from adapters.http.sockets import NEWS_S
from domain.ids import AccountId
from services.ports.messages import Started
from services.ports.watching import FactSeen, GapFeared, Gathering, Live, Sighting
from tests.http.executor import ByHand, by_hand
from tests.http.person import PARAMETERS, Person
from tests.http.whole import Whole, another_api

PATIENCE_S = 20.0


@pytest.fixture
async def hand(served: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(served) as executor:
        yield executor


class Line:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **wish: Any) -> None:
        await self.socket.send(json.dumps(wish))

    async def hear(self, kind: str = "") -> dict[str, Any]:
        """The next thing that is told, of that kind."""
        while True:
            told: dict[str, Any] = json.loads(await self.socket.recv())
            if not kind or told["type"] == kind:
                return told

    async def closed(self) -> int:
        with suppress(ConnectionClosedError):
            async for _ in self.socket:
                pass
        assert self.socket.close_code is not None
        return self.socket.close_code


@asynccontextmanager
async def line(
    whole: Whole, person: Person | None = None, *, patience_s: float = PATIENCE_S, **options: Any
) -> AsyncIterator[Line]:
    headers = {"Authorization": person.http.headers["Authorization"]} if person else {}
    url = whole.url.replace("http:", "ws:") + "/api/v1/live"
    async with (
        asyncio.timeout(patience_s),
        connect(url, additional_headers=headers, proxy=None, **options) as socket,
    ):
        opened = Line(socket)
        if person:
            assert (await opened.hear())["type"] == "ready"
        yield opened


def narrow(whole: Whole) -> socket.socket:
    """A connection that takes little beyond what is read."""
    address = urlsplit(whole.url)
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    opened.connect((address.hostname, address.port))
    opened.setblocking(False)
    return opened


async def generated(person: Person) -> str:
    return str((await person.post("/generate", PARAMETERS))["id"])


async def test_a_run_is_watched_to_its_end(served: Whole, ann: Person, hand: ByHand) -> None:
    run = await generated(ann)
    async with line(served, ann) as watching:
        await watching.say(op="subscribe", run=run)
        assert await watching.hear() == {"type": "subscribed", "run": run}
        first = await watching.hear()
        assert (first["topic"], first["status"]) == ("run.submitted.v1", "queued")
        claimed = await hand.claim(run)
        assert (await watching.hear("state"))["topic"] == "run.claimed.v1"
        await hand.report(claimed, Started())
        assert (await watching.hear("state"))["status"] == "running"
        await hand.step(claimed, 40)
        assert (await watching.hear("progress"))["percent"] == 40
        await hand.link.preview(claimed.owner, claimed.run, b"picture", "image/jpeg", "2")
        seen = await watching.hear("preview")
        assert (seen["run"], seen["media_type"]) == (run, "image/jpeg")
        await hand.succeed(claimed)
        last = await watching.hear("state")
        assert (last["status"], last["run"]) == ("succeeded", run)


async def test_who_does_not_read_loses_pictures_holds_up_nobody_and_is_told_every_fact(
    served: Whole, ann: Person, hand: ByHand
) -> None:
    """Both watch the same run; only one of them reads while it lasts."""
    picture, sent = os.urandom(200_000), 120  # more than the buffers on the way take
    expected = ["run.submitted.v1", "run.claimed.v1", "run.started.v1", "run.succeeded.v1"]
    run = await generated(ann)
    async with (
        line(served, ann, max_queue=1, patience_s=60) as asleep,
        line(served, ann, patience_s=60) as awake,
    ):
        for watching in (asleep, awake):
            await watching.say(op="subscribe", run=run, after=0)
        facts = [(await awake.hear("state"))["topic"]]
        claimed = await hand.claim(run)
        await hand.report(claimed, Started())
        facts += [(await awake.hear("state"))["topic"] for _ in range(2)]
        for number in range(1, sent + 1):
            await hand.link.preview(claimed.owner, claimed.run, picture, "image/jpeg", "2")
            await hand.step(claimed, number / 2)
            while number % 20 == 0 and (await awake.hear("progress"))["percent"] < number / 2:
                pass
        await hand.succeed(claimed)
        facts.append((await awake.hear("state"))["topic"])
        assert facts == expected
        late: list[dict[str, Any]] = []
        while not late or late[-1].get("status") != "succeeded":
            late.append(await asleep.hear())
        assert [told["topic"] for told in late if told["type"] == "state"] == expected
        assert 0 < sum(told["type"] == "preview" for told in late) < sent / 2
        assert next(told for told in reversed(late) if told["type"] == "progress")["percent"] == sent / 2


async def test_who_comes_late_is_told_the_last_state_and_progress(
    served: Whole, ann: Person, hand: ByHand
) -> None:
    run = await generated(ann)
    claimed = await hand.claim(run)
    await hand.start(claimed)
    await hand.step(claimed, 60)
    async with line(served, ann) as watching:
        await watching.say(op="subscribe", run=run)
        assert (await watching.hear("state"))["status"] == "running"
        while (told := await watching.hear())["type"] != "progress":
            assert told["type"] != "state"
        assert told["percent"] == 60
    await hand.fail(claimed)


async def test_who_comes_back_is_told_what_happened_since(served: Whole, ann: Person, hand: ByHand) -> None:
    run = await generated(ann)
    async with line(served, ann) as watching:
        await watching.say(op="subscribe", run=run)
        position = (await watching.hear("state"))["position"]
    claimed = await hand.claim(run)
    await hand.start(claimed)
    await hand.succeed(claimed)
    expected = ["run.claimed.v1", "run.started.v1", "run.succeeded.v1"]
    for wish in ({"run": run}, {"all": True}):
        async with line(served, ann) as watching:
            await watching.say(op="subscribe", after=position, **wish)
            assert [(await watching.hear("state"))["topic"] for _ in expected] == expected


async def test_all_of_ones_own_runs_are_watched_and_nobody_elses(
    served: Whole, ann: Person, bob: Person, hand: ByHand
) -> None:
    before = await generated(ann)
    await ann.get("/runs")  # the view knows of it
    async with line(served, ann) as watching:
        await watching.say(op="subscribe", all=True)
        assert (await watching.hear("state"))["run"] == before
        theirs = await generated(bob)
        mine = await generated(ann)
        assert (await watching.hear("state"))["run"] == mine
        await bob.post(f"/runs/{theirs}/cancel")
        await ann.post(f"/runs/{before}/cancel")
        last = await watching.hear("state")
        assert (last["run"], last["status"]) == (before, "cancelled")
        claimed = await hand.claim(mine)
        await hand.step(claimed, 10)
        assert (await watching.hear("progress"))["run"] == mine
        await watching.say(op="unsubscribe", all=True)
        await watching.say(op="subscribe", run=str(uuid4()))
        await watching.hear("problem")
        await hand.fail(claimed)
        await watching.say(op="subscribe", run=str(uuid4()))
        assert (await watching.hear())["type"] == "problem"


async def test_a_stranger_is_told_the_same_of_others_runs_as_of_none(
    served: Whole, ann: Person, bob: Person
) -> None:
    run = await generated(ann)
    async with line(served, bob) as watching:
        told = []
        for id in (run, str(uuid4()), await ann.workflow()):
            await watching.say(op="subscribe", run=id)
            problem = await watching.hear()
            assert problem.pop("run") == id
            told.append(problem)
        assert told == [{"type": "problem", "detail": "There is no such run."}] * 3
        await ann.post(f"/runs/{run}/cancel")
        await watching.say(op="surprise")
        assert (await watching.hear())["type"] == "problem"


async def test_a_browser_logs_in_by_its_first_words(served: Whole, ann: Person) -> None:
    async with line(served) as watching:
        await watching.say(op="login", token=ann.http.headers["Authorization"].split()[1])
        assert (await watching.hear())["account"] == ann.id
    key = (await ann.post("/api-keys", {"name": "bot", "scopes": ["read"]}))["key"]
    async with line(served) as watching:
        await watching.say(op="login", token=key)
        assert (await watching.hear())["account"] == ann.id


@pytest.mark.parametrize(
    "first",
    [
        '{"op": "login", "token": "x"}',
        '{"op": "login"}',
        '{"op": "subscribe", "all": true}',
        "",
        "[[[",
        b"\x00",
    ],
)
async def test_without_a_login_the_line_is_closed(served: Whole, first: str | bytes) -> None:
    async with line(served) as watching:
        await watching.socket.send(first)
        assert await watching.closed() == 4401


async def test_the_line_ends_with_the_session(served: Whole, ann: Person) -> None:
    async with line(served, ann) as watching:
        await watching.say(op="subscribe", all=True)
        await watching.hear("subscribed")
        await ann.post("/auth/logout")
        assert await watching.closed() == 4401


async def test_nonsense_is_answered_until_there_is_too_much_of_it(served: Whole, ann: Person) -> None:
    async with line(served, ann) as watching:
        for words in (
            "{",
            "null",
            "7",
            '{"op": 1}',
            '{"op": "subscribe"}',
            '{"op": "subscribe", "run": "x"}',
        ):
            await watching.socket.send(words)
            assert (await watching.hear())["type"] == "problem"
        await watching.socket.send(b"\xff\x00")
        assert (await watching.hear())["type"] == "problem"
        for _ in range(20):
            await watching.say(op="dance")
        assert await watching.closed() == 4400


async def test_long_speeches_are_not_listened_to(served: Whole, ann: Person) -> None:
    async with line(served, ann) as watching:
        await watching.socket.send("x" * 100_000)
        assert await watching.closed() == 1009


async def test_another_api_tells_the_same(served: Whole, ann: Person, hand: ByHand) -> None:
    run = await generated(ann)
    with another_api(served) as second:
        async with line(second, ann) as watching:
            await watching.say(op="subscribe", run=run)
            await watching.hear("state")
            await ann.post(f"/runs/{run}/cancel")
            assert (await watching.hear("state"))["status"] == "cancelled"


async def test_what_was_missed_is_told_though_its_reader_speaks_at_that_moment(
    served: Whole, ann: Person, hand: ByHand
) -> None:
    leaking = LeakyLive()

    @asynccontextmanager
    async def leaky(parts: Parts) -> AsyncIterator[Parts]:
        leaking.live = parts.live
        yield replace(parts, live=leaking)

    run = await generated(ann)
    with another_api(served, leaky) as whole:
        async with line(whole, ann) as watching:
            await watching.say(op="subscribe", run=run)
            assert (await watching.hear("state"))["topic"] == "run.submitted.v1"
            await hand.claim(run)
            assert await asyncio.to_thread(leaking.lost.wait, PATIENCE_S)
            async with asyncio.timeout(NEWS_S / 2):
                await watching.say(op="nonsense")
                assert (await watching.hear("state"))["topic"] == "run.claimed.v1"
    await ann.post(f"/runs/{run}/cancel")


class LeakyLive:
    """Facts are lost on the way, which is feared as soon as the reader has said something."""

    live: Live

    def __init__(self) -> None:
        self.lost = threading.Event()

    @asynccontextmanager
    async def gather(self, account: AccountId) -> AsyncIterator[Gathering]:
        async with self.live.gather(account) as gathering:
            hear, nudge, said = gathering.next, gathering.nudge, asyncio.Event()

            def nudged() -> None:
                said.set()
                nudge()

            async def leaking(timeout_s: float) -> Sighting | None:
                seen = await hear(timeout_s)
                if not isinstance(seen, FactSeen):
                    return seen
                said.clear()
                self.lost.set()
                await said.wait()
                return GapFeared()

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(gathering, "next", leaking)
                patch.setattr(gathering, "nudge", nudged)
                yield gathering
