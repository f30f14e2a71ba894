import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from nats.aio.subscription import Subscription

from adapters.identity.secrets import ServerSecrets
from adapters.nats.connection import Connection
from adapters.nats.events import NatsEventStream
from adapters.nats.executor_link import CLAIM_HEADER, MAX_PREVIEW_BYTES, NatsDispatchLink
from adapters.nats.live import NatsLive
from adapters.nats.watcher import MAX_PROGRESS, MAX_WAITING, QueueWatcher
from domain.event import Recorded
from domain.ids import AccountId, Actor, Digest, Position, RunId
from domain.run import RunStarted
from services.ports.messages import Progress
from services.ports.watching import FactSeen, GapFeared, PreviewSeen, Sighting, StepSeen, Watcher
from tests.nats.conftest import Eventually, Open, Server
from tests.nats.logs import START, ListLog

ANN, BOB = AccountId(uuid4()), AccountId(uuid4())
RUN, OTHER = RunId(uuid4()), RunId(uuid4())


def step(percent: float, run: RunId = RUN) -> Progress:
    return Progress(run=run, epoch=1, percent=percent)


@pytest.fixture
async def live(connection: Connection) -> NatsLive:
    made = NatsLive(connection, lambda token, run, epoch: True)
    await made.open()
    return made


@pytest.fixture
async def link(open_executor: Open) -> NatsDispatchLink:
    return NatsDispatchLink(await open_executor("gpu-1"), "gpu-1")


def fact(position: int) -> FactSeen:
    return FactSeen(
        Recorded(
            position=Position(position),
            stream=RUN,
            version=1,
            at=START,
            owner=ANN,
            actor=Actor("tests"),
            correlation=UUID(int=position),
            causation=None,
            event=RunStarted(epoch=1, backend="big"),
        )
    )


async def heard(watcher: Watcher) -> Sighting:
    seen = await watcher.next(5)
    assert seen is not None
    return seen


async def test_a_watcher_sees_the_progress_and_the_facts_of_its_run(
    live: NatsLive, link: NatsDispatchLink, connection: Connection
) -> None:
    log = ListLog()
    events = NatsEventStream(connection)
    await events.ensure(await log.identity(), Position(0))
    await log.append(RunStarted(epoch=1, backend="big"), stream=OTHER)
    await log.append(RunStarted(epoch=1, backend="big"), stream=RUN)
    async with live.watch(ANN, RUN) as watcher:
        assert await live.last_progress(ANN, RUN) is None
        await link.progress(ANN, step(99, OTHER))
        await link.progress(ANN, step(10))
        assert await heard(watcher) == StepSeen(step(10))
        await link.preview(ANN, RUN, b"x" * (MAX_PREVIEW_BYTES + 1), "image/png", "3")
        await link.preview(ANN, RUN, b"picture", "image/png", "3:é")
        assert await heard(watcher) == PreviewSeen(b"picture", "image/png", RUN, "3:é")
        await events.publish(log.stored)
        fact = await heard(watcher)
        assert isinstance(fact, FactSeen)
        assert (fact.recorded.stream, fact.recorded.position) == (RUN, 2)
        assert await watcher.next(0.05) is None


async def test_who_comes_late_is_told_the_last_progress(
    live: NatsLive, link: NatsDispatchLink, eventually: Eventually
) -> None:
    for percent in (10, 20, 30):
        await link.progress(ANN, step(percent))

    async def kept() -> bool:
        return await live.last_progress(ANN, RUN) == step(30)

    await eventually(kept)
    assert await live.last_progress(BOB, RUN) is None


async def test_watchers_of_an_account_share_what_nats_sends_and_let_go_of_it_later(
    link: NatsDispatchLink, connection: Connection, eventually: Eventually
) -> None:
    live = NatsLive(connection, lambda token, run, epoch: True, linger_s=0.01)
    await live.open()
    async with live.watch(ANN, RUN) as one:
        shared = len(connection.client._subs)
        async with live.watch(ANN, RUN) as two, live.watch(ANN, OTHER) as three:
            assert len(connection.client._subs) == shared
            await live.last_progress(ANN, RUN)
            await link.progress(ANN, step(10))
            await link.progress(ANN, step(99, OTHER))
            assert await heard(one) == await heard(two) == StepSeen(step(10))
            assert await heard(three) == StepSeen(step(99, OTHER))
        await link.progress(ANN, step(20))
        assert await heard(one) == StepSeen(step(20))
    assert live._progress

    async def gone() -> bool:
        return not live._progress and not any("progress" in each.subject for each in subscriptions())

    def subscriptions() -> list[Subscription]:
        return list(connection.client._subs.values())

    await eventually(gone)
    async with live.watch(ANN, RUN) as again:
        await live.last_progress(ANN, RUN)
        await link.progress(ANN, step(30))
        assert await heard(again) == StepSeen(step(30))


async def test_what_comes_together_waits_together() -> None:
    watcher = QueueWatcher()
    assert not watcher.waits
    watcher.put(fact(1))
    watcher.put(fact(2))
    await heard(watcher)
    assert watcher.waits
    await heard(watcher)
    assert not watcher.waits
    watcher.put(fact(3))
    watcher.stop()
    assert not watcher.waits


async def test_after_an_outage_watchers_are_warned_and_progress_is_kept_again(
    live: NatsLive, link: NatsDispatchLink, server: Server, eventually: Eventually
) -> None:
    async with live.watch(ANN, RUN) as watcher:
        server.kill()
        server.start()
        assert await heard(watcher) == GapFeared()

        async def kept() -> bool:
            await link.progress(ANN, step(40))
            return await live.last_progress(ANN, RUN) == step(40)

        await eventually(kept)
        assert await heard(watcher) == StepSeen(step(40))


async def test_a_slow_watcher_loses_its_oldest_progress_but_no_fact() -> None:
    watcher = QueueWatcher()
    told = fact(7)
    watcher.put(told)
    for percent in range(MAX_PROGRESS + 10):
        watcher.put(StepSeen(step(percent)))
    watcher.put(told)  # said again
    seen = [await watcher.next(0.01) for _ in range(MAX_PROGRESS + 2)]
    assert seen[0] == told
    assert seen[1:-1] == [StepSeen(step(percent)) for percent in range(10, MAX_PROGRESS + 10)]
    assert seen[-1] is None


async def test_a_watcher_is_woken(live: NatsLive) -> None:
    watcher = QueueWatcher()
    waiting = asyncio.create_task(watcher.next(5))
    await asyncio.sleep(0)
    watcher.put(GapFeared())
    assert await waiting == GapFeared()


async def test_a_stopped_watcher_waits_no_more_and_tells_nothing() -> None:
    watcher = QueueWatcher()
    waiting = asyncio.create_task(watcher.next(60))
    await asyncio.sleep(0)
    watcher.stop()
    watcher.put(GapFeared())
    assert await waiting is None
    assert await watcher.next(60) is None


async def test_facts_of_runs_nobody_watches_are_let_pass(live: NatsLive, connection: Connection) -> None:
    log = ListLog()
    events = NatsEventStream(connection)
    await events.ensure(await log.identity(), Position(0))
    async with live.watch(ANN, OTHER):
        pass
    for run in (OTHER, RUN):
        await log.append(RunStarted(epoch=1, backend="big"), stream=run)
    async with live.watch(ANN, RUN) as one, live.watch(BOB, RUN) as two:
        await events.publish(log.stored)
        for watcher in (one, two):
            fact = await heard(watcher)
            assert isinstance(fact, FactSeen)
            assert fact.recorded.stream == RUN


async def test_an_executor_is_believed_about_runs_that_it_has_claimed_only(
    connection: Connection, open_executor: Open
) -> None:
    secrets, later = (
        ServerSecrets(b"only for tests, but long enough."),
        datetime.now(UTC) + timedelta(hours=1),
    )
    graph = Digest("ab" * 32)
    live = NatsLive(connection, secrets.holds)
    await live.open()
    executor = (await open_executor("gpu-1")).client
    token = secrets.claim_token(RUN, 1, graph, later)

    async def say(token: str | None, progress: Progress, run: RunId = RUN) -> None:
        headers = {} if token is None else {CLAIM_HEADER: token}
        body = msgspec.json.encode(progress)
        await executor.publish(f"progress.{ANN}.{run}.step", body, headers=headers)
        await executor.publish(f"progress.{ANN}.{run}.preview", b"picture", headers=headers)

    async with live.watch(ANN, RUN) as watcher:
        await live.last_progress(ANN, RUN)  # by now the server knows what is watched
        for forged in (
            None,
            "",
            "x.y",
            "x" * 5000,
            secrets.claim_token(OTHER, 1, graph, later),
            ServerSecrets(b"somebody else's, and long enough").claim_token(RUN, 1, graph, later),
        ):
            await say(forged, step(99))
        await executor.publish(
            f"progress.{ANN}.{RUN}.step", msgspec.json.encode(step(98, OTHER)), headers={CLAIM_HEADER: token}
        )
        other_attempt = msgspec.json.encode(Progress(run=RUN, epoch=2, percent=97))
        await executor.publish(f"progress.{ANN}.{RUN}.step", other_attempt, headers={CLAIM_HEADER: token})
        await say(token, step(10))
        assert await heard(watcher) == StepSeen(step(10))
        assert await heard(watcher) == PreviewSeen(b"picture", "image/jpeg", RUN)
        assert await live.last_progress(ANN, RUN) == step(10)
        await say(None, step(99))
        assert await watcher.next(0.2) is None
        assert await live.last_progress(ANN, RUN) is None


async def test_who_reads_too_slowly_loses_pictures_then_steps_and_never_facts() -> None:
    watcher = QueueWatcher(4)
    for number in range(3):
        watcher.put(StepSeen(step(number)))
        watcher.put(PreviewSeen(b"%d" % number, "image/png"))
    watcher.put(fact(1))
    for number in range(3, 6):
        watcher.put(StepSeen(step(number)))
    left = [await heard(watcher) for _ in range(5)]
    assert left == [StepSeen(step(2)), fact(1), *(StepSeen(step(number)) for number in range(3, 6))]


async def test_of_each_run_one_picture_waits_the_newest() -> None:
    watcher, other = QueueWatcher(256), RunId(uuid4())
    for number in range(100):
        watcher.put(PreviewSeen(b"%d" % number, "image/png", RUN))
        watcher.put(PreviewSeen(b"%d" % number, "image/png", other))
        watcher.put(StepSeen(step(number)))
    left = [await heard(watcher) for _ in range(102)]
    assert [seen for seen in left if isinstance(seen, PreviewSeen)] == [
        PreviewSeen(b"99", "image/png", RUN),
        PreviewSeen(b"99", "image/png", other),
    ]


async def test_who_does_not_read_at_all_is_given_up() -> None:
    watcher = QueueWatcher()
    for position in range(1, MAX_WAITING + 1):
        watcher.put(fact(position))
    assert not watcher.overrun
    watcher.put(fact(MAX_WAITING + 1))
    assert watcher.overrun
    assert await watcher.next(1) is None


async def test_several_runs_of_an_account_come_in_one_line(live: NatsLive, link: NatsDispatchLink) -> None:
    async with live.gather(ANN) as gathering:
        await gathering.add(RUN)
        await live.last_progress(ANN, RUN)
        await link.progress(ANN, step(1))
        assert await heard(gathering) == StepSeen(step(1))
        await link.progress(ANN, step(2, OTHER))
        await link.progress(ANN, step(3))
        assert await heard(gathering) == StepSeen(step(3))
        await gathering.add_all()
        await gathering.drop(RUN)
        await live.last_progress(ANN, RUN)
        await link.progress(BOB, step(3, OTHER))
        await link.progress(ANN, step(4, OTHER))
        assert await heard(gathering) == StepSeen(step(4, OTHER))
        await gathering.drop_all()
        gathering.nudge()
        assert await gathering.next(5) is None
