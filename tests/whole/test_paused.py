"""A paused queue stays paused whatever dispatch goes through: runs are accepted and wait, and go on after resume."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from adapters.nats.executor_link import NatsDispatchLink
from infra.queue import pause, resume
from infra.wiring import nats
from services.ports.executing import DispatchUnavailableError
from services.ports.messages import Assignment, ClaimRequest
from tests.whole.graphs import THREE, pictures
from tests.whole.moments import restarted
from tests.whole.people import Person
from tests.whole.truth import audit, read_log
from tests.whole.whole import LOOK_S, PATIENCE_S, Whole


async def test_a_paused_queue_stays_paused_across_kill_9_of_dispatch(whole: Whole, ann: Person) -> None:
    workflow = await ann.workflow(pictures())
    async with paused(whole):
        runs = [await ann.submit(workflow, key=uuid4().hex)]
        died = whole.pids()["dispatch"]
        with whole.without("dispatch"):
            runs.append(await ann.submit(workflow, key=uuid4().hex))
        await restarted(whole, "dispatch", died)
        runs.append(await ann.submit(workflow, key=uuid4().hex))

        await all_wait(ann, len(runs))
        assert await claimed(whole) is None
        for run in runs:
            assert [fact.topic for fact in read_log(whole).of(run)] == ["run.submitted.v1"]
    await audit(whole, ann, workflow, dict.fromkeys(runs, THREE))


@asynccontextmanager
async def paused(whole: Whole) -> AsyncIterator[None]:
    """As from the terminal. The whole is others' too: it goes on in any case."""
    assert await asyncio.to_thread(pause, whole.settings, "", "Cards are changed.") == 0
    try:
        yield
    finally:
        assert await asyncio.to_thread(resume, whole.settings, "", "They are in.") == 0


async def all_wait(somebody: Person, runs: int) -> None:
    """Dispatch has taken in all of them, and people are told that they stand still."""
    deadline = time.monotonic() + PATIENCE_S
    while (stats := await somebody.ask("GET", "/queue/stats"))["waiting"] != runs:
        assert time.monotonic() < deadline, stats
        await asyncio.sleep(LOOK_S)
    assert stats["paused"], stats


async def claimed(whole: Whole) -> Assignment | None:
    """What dispatch gives to who asks for work, once it answers."""
    settings = whole.settings
    deadline = time.monotonic() + PATIENCE_S
    request = ClaimRequest(executor=settings.executor, backend=settings.backend)
    prefix = f"_INBOX_{settings.executor}"
    async with nats("asking", settings.nats_exec_url, inbox_prefix=prefix) as connection:
        link = NatsDispatchLink(connection, settings.executor)
        while True:
            try:
                return await link.claim(request)
            except DispatchUnavailableError:
                assert time.monotonic() < deadline, "dispatch does not answer"
                await asyncio.sleep(LOOK_S)
