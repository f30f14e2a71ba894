"""An executor is cut off from NATS for longer than its lease: real dispatch, NATS and PostgreSQL, real sandboxes.

A line is silent (nothing gets through, nobody is told, and what was sent arrives late) or torn.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from adapters.identity.secrets import ServerSecrets
from adapters.nats.confidant import NatsConfidant
from adapters.nats.dispatching import NatsDispatchServer
from adapters.nats.executor_link import NatsDispatchLink
from adapters.postgres.backend_table import PostgresBackendTable
from adapters.postgres.queue import PostgresQueue
from commands.dispatcher import Dispatcher
from commands.needs import Needs
from domain.event import Event
from domain.ids import RunId, attempt_id
from domain.outcome import FailureKind
from domain.run import (
    OutputStored,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunFailed,
    RunStarted,
    RunSucceeded,
)
from domain.workflow import Content
from infra.settings import Settings, load_secret
from infra.wiring import nats, needs, new_id, now
from services.dispatch.answering import Answering, Leases
from services.dispatch.folding import Folding
from services.dispatch.roll import Roll
from services.dispatch.rousing import Rousing
from services.dispatch.service import dispatch
from services.dispatch.sweeping import Sweeping
from tests.execution.store import ObjectServer
from tests.execution.test_dispatch import beside
from tests.execution.test_queue import Ground, opened, submitted
from tests.execution.workshop import Graph, Running, SharedSandbox, eventually, executor, picture, sleeping
from tests.proxy import Proxy, proxy
from tests.sandbox.process import SandboxProcess
from tests.servers import SECRET, Database, NatsServer

LEASE = timedelta(seconds=3)
ENDS = (RunSucceeded, RunFailed, RunCancelled)


class Story:
    """What the log tells of a run."""

    def __init__(self, events: list[Event]) -> None:
        self.ends = [event for event in events if isinstance(event, ENDS)]
        self.claimed_by = [event.executor for event in events if isinstance(event, RunClaimed)]
        self.lost = [event for event in events if isinstance(event, RunAttemptLost)]
        self.started = [event.epoch for event in events if isinstance(event, RunStarted)]
        self.outputs = [event for event in events if isinstance(event, OutputStored)]


class Hall:
    """Dispatch at work, and the log it writes."""

    def __init__(self, ground: Ground, wants: Needs) -> None:
        self._ground, self._wants = ground, wants

    async def submit(self, graph: Graph) -> RunId:
        run, body = RunId(new_id()), msgspec.json.encode(graph)
        content = Content(await self._wants.contents.put(body), len(body))
        await self._ground.write(run, 0, replace(submitted(), graph=content))
        return run

    async def story(self, run: RunId) -> Story:
        return Story([each.event for each in await self._ground.log.read(run)])

    async def until(self, run: RunId, condition: Callable[[Story], object]) -> Story:
        async def holds() -> bool:
            return bool(condition(await self.story(run)))

        await eventually(holds)
        return await self.story(run)

    async def lease_is_over(self, run: RunId) -> None:
        """For as long again as it was."""

        async def over() -> bool:
            query = "SELECT lease_until + %s < now() FROM work.queue WHERE run = %s"
            async with self._ground.pool.connection() as connection:
                (row,) = await (await connection.execute(query, (LEASE, run))).fetchall()
            return bool(row[0])

        await eventually(over)


@asynccontextmanager
async def hall(
    database: Database, nats_url: str, folder: Path, lease: timedelta = LEASE, retries: int = 3
) -> AsyncIterator[Hall]:
    settings = Settings(data=folder, secret=SECRET, retry_pause_s=0.1, retries=retries)
    secrets = ServerSecrets(load_secret(settings))
    async with (
        opened(database) as ground,
        needs(settings, secrets, database.url_of("comfyplus_dispatch")) as wants,
        nats("dispatch", nats_url) as connection,
    ):
        queue, server, dispatcher = (
            PostgresQueue(ground.pool),
            NatsDispatchServer(connection),
            Dispatcher(wants),
        )
        rousing = Rousing(queue, server)
        folding = Folding(ground.tail, queue, server, wants.streams)
        roll = Roll(queue, PostgresBackendTable(ground.pool), dispatcher)
        answering = Answering(
            queue,
            folding,
            roll,
            dispatcher,
            wants.contents,
            secrets,
            now,
            NatsConfidant(connection),
            rousing,
            Leases(lease),
        )
        sweeping = Sweeping(queue, dispatcher, server, now, every_s=0.1, lease=lease)
        async with beside(dispatch(server, folding, answering, sweeping, rousing)):
            yield Hall(ground, wants)


@asynccontextmanager
async def cuttable(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A line to there that can be cut, and the address to use instead."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    async with proxy(str(parts.hostname), int(parts.port or 0)) as line:
        yield line, parts._replace(netloc=f"{login}@127.0.0.1:{line.port}").geturl()


@asynccontextmanager
async def machine(
    name: str, nats_url: str, store: ObjectServer, folder: Path, comfyui: str
) -> AsyncIterator[Running]:
    """An executor on a real line, with one ComfyUI."""
    store.opens = bool  # whatever dispatch has given out
    async with nats(name, nats_url, inbox_prefix=f"_INBOX_{name}") as connection:
        link = NatsDispatchLink(connection, name, answer_s=0.5)
        await link.listen()
        async with executor(
            link, store, folder / name, [comfyui], name=name, backend=f"of-{name}"
        ) as running:
            yield running


@pytest.mark.parametrize(
    ("torn", "until"),
    [(False, "given away"), (False, "finished"), (True, "finished"), (True, "over")],
)
async def test_what_was_given_to_another_meanwhile_ends_there(
    database: Database,
    fresh_nats: NatsServer,
    store: ObjectServer,
    comfyui: SharedSandbox,
    mortal: SandboxProcess,
    tmp_path: Path,
    torn: bool,
    until: str,
) -> None:
    async with (
        cuttable(fresh_nats.url_of("gpu-1")) as (line, gpu_1),
        hall(database, fresh_nats.url, tmp_path) as made,
        machine("gpu-1", gpu_1, store, tmp_path, comfyui.url),
    ):
        run = await made.submit(sleeping(8 if until == "given away" else 3.5))
        await made.until(run, lambda story: story.started)
        line.tear() if torn else line.pause()
        async with machine("gpu-2", fresh_nats.url_of("gpu-2"), store, tmp_path, mortal.url):
            await made.until(run, lambda story: len(story.claimed_by) == 2)
            if until == "finished":
                await eventually(lambda: is_saved(comfyui, run))
            if until == "over":
                await made.until(run, lambda story: story.ends)
            line.resume()
            await made.until(run, lambda story: story.ends)
        after = await made.submit(picture())
        assert (await made.until(after, lambda story: story.ends)).claimed_by[-1] == "gpu-1"
        story = await made.story(run)

    (end,) = story.ends
    assert isinstance(end, RunSucceeded)
    assert (end.epoch, end.outputs, story.claimed_by) == (2, 1, ["gpu-1", "gpu-2"])
    assert [each.epoch for each in story.outputs] == [2]
    assert str(attempt_id(run, 2)).encode() in store.objects[story.outputs[0].output.digest]
    assert is_told(story)
    if until == "given away":
        assert not comfyui.saved(attempt_id(run, 1))  # it was stopped when it was heard of again


@pytest.mark.parametrize("torn", [False, True], ids=["silent", "torn"])
async def test_what_nobody_else_could_take_is_begun_again(
    database: Database,
    fresh_nats: NatsServer,
    store: ObjectServer,
    comfyui: SharedSandbox,
    tmp_path: Path,
    torn: bool,
) -> None:
    """Its lease had run out, and anybody could have had it."""
    async with (
        cuttable(fresh_nats.url_of("gpu-1")) as (line, gpu_1),
        hall(database, fresh_nats.url, tmp_path) as made,
        machine("gpu-1", gpu_1, store, tmp_path, comfyui.url),
    ):
        run = await made.submit(sleeping(1.5))
        await made.until(run, lambda story: story.started)
        line.tear() if torn else line.pause()
        await made.until(run, lambda story: story.lost)
        await eventually(lambda: is_saved(comfyui, run))
        line.resume()
        await made.until(run, lambda story: story.ends)
        after = await made.submit(picture())
        await made.until(after, lambda story: story.ends)
        story = await made.story(run)

    (end,) = story.ends
    assert isinstance(end, RunSucceeded)
    assert {each.epoch for each in story.outputs} == {end.epoch}
    assert is_told(story)


async def test_finished_work_is_not_lost_where_dispatch_was_cut_off_too(
    database: Database, fresh_nats: NatsServer, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    """Nobody could have renewed a lease, so none counts: what was finished meanwhile is brought in."""
    async with (
        cuttable(fresh_nats.url_of("gpu-1")) as (line, gpu_1),
        cuttable(fresh_nats.url) as (other, of_dispatch),
        hall(database, of_dispatch, tmp_path) as made,
        machine("gpu-1", gpu_1, store, tmp_path, comfyui.url),
    ):
        run = await made.submit(sleeping(1.5))
        await made.until(run, lambda story: story.started)
        line.tear()
        other.tear()
        await made.lease_is_over(run)
        await eventually(lambda: is_saved(comfyui, run))
        line.resume()
        other.resume()
        story = await made.until(run, lambda story: story.ends)

    (end,) = story.ends
    assert isinstance(end, RunSucceeded)
    assert (end.epoch, story.lost, story.started) == (1, [], [1])
    assert [each.epoch for each in story.outputs] == [1]


async def is_saved(comfyui: SharedSandbox, run: RunId) -> bool:
    return bool(comfyui.saved(attempt_id(run, 1)))


def is_told(story: Story) -> bool:
    """Why the first attempt was lost."""
    lost = story.lost[0]
    assert [each.epoch for each in story.lost].count(1) == lost.epoch == 1
    assert lost.failure.kind is FailureKind.LOST
    assert lost.failure.reason == "The executor that had claimed the run fell silent."
    return bool(lost.failure.advice)
