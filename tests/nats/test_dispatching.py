import asyncio
from uuid import uuid4

import msgspec
import pytest
from nats.errors import Error
from nats.js.errors import NotFoundError

from adapters.nats.connection import Connection
from adapters.nats.dispatching import NatsDispatchServer
from adapters.nats.events import STREAM, NatsEventStream
from adapters.nats.executor_link import NatsDispatchLink
from domain.ids import AccountId, AttemptId, Digest, Position, RunId
from services.ports.dispatching import Responder
from services.ports.executing import DispatchUnavailableError
from services.ports.messages import (
    Assignment,
    Beat,
    BeatAnswer,
    ClaimRequest,
    HeldAttempt,
    OpenRequest,
    Progress,
    Report,
    ReportAnswer,
    Started,
)
from tests.nats.conftest import Open, Server

RUN = RunId(uuid4())
ASSIGNMENT = Assignment(
    run=RUN,
    epoch=1,
    attempt=AttemptId(uuid4()),
    owner=AccountId(uuid4()),
    backend="big",
    graph_digest=Digest("ab" * 32),
    graph=b'{"1": {}}',
    token="secret",
    timeout_s=300,
    lease_s=45,
)
CLAIM = ClaimRequest(executor="gpu-1", backend="big")


def answering(answer: object, heard: list[tuple[str, bytes]] | None = None) -> Responder:
    async def respond(executor: str, body: bytes) -> bytes:
        if heard is not None:
            heard.append((executor, body))
        return msgspec.json.encode(answer)

    return respond


@pytest.fixture
async def dispatch(connection: Connection) -> NatsDispatchServer:
    return NatsDispatchServer(connection)


@pytest.fixture
async def link(open_executor: Open) -> NatsDispatchLink:
    made = NatsDispatchLink(await open_executor("gpu-1"), "gpu-1", answer_s=1)
    await made.listen()
    return made


async def test_executor_and_dispatch_understand_each_other(
    dispatch: NatsDispatchServer, link: NatsDispatchLink
) -> None:
    heard: list[tuple[str, bytes]] = []
    revoked = BeatAnswer(revoked=(HeldAttempt(RUN, 1),), tokens={str(RUN): "newer"})
    await dispatch.serve(
        {
            "claim": answering(ASSIGNMENT, heard),
            "open": answering([ASSIGNMENT], heard),
            "beat": answering(revoked, heard),
            "report": answering(ReportAnswer(accepted=True), heard),
        }
    )
    report = Report(run=RUN, epoch=1, facts=(Started(),))
    assert await link.claim(CLAIM) == ASSIGNMENT
    assert await link.open(OpenRequest(executor="gpu-1")) == [ASSIGNMENT]
    assert await link.beat(Beat(executor="gpu-1", attempts=(), backends=())) == revoked
    assert await link.report("gpu-1", report) == ReportAnswer(accepted=True)
    assert [executor for executor, _ in heard] == ["gpu-1"] * 4
    assert msgspec.json.decode(heard[0][1], type=ClaimRequest) == CLAIM
    assert msgspec.json.decode(heard[3][1], type=Report) == report


async def test_nothing_to_claim_is_none(dispatch: NatsDispatchServer, link: NatsDispatchLink) -> None:
    await dispatch.serve({"claim": answering(None)})
    assert await link.claim(CLAIM) is None


async def test_without_dispatch_the_executor_is_told_at_once(link: NatsDispatchLink) -> None:
    with pytest.raises(DispatchUnavailableError):
        await link.claim(CLAIM)


async def test_a_failing_responder_is_told_at_once(dispatch: NatsDispatchServer, open_executor: Open) -> None:
    async def fail(_: str, body: bytes) -> bytes:
        raise RuntimeError("broken")

    await dispatch.serve({"claim": fail})
    patient = NatsDispatchLink(await open_executor("gpu-1"), "gpu-1", answer_s=60)
    async with asyncio.timeout(5):
        with pytest.raises(DispatchUnavailableError):
            await patient.claim(CLAIM)


async def test_an_answer_that_makes_no_sense_is_no_answer(
    dispatch: NatsDispatchServer, link: NatsDispatchLink
) -> None:
    await dispatch.serve({"claim": answering({"run": "nonsense"})})
    with pytest.raises(DispatchUnavailableError):
        await link.claim(CLAIM)


async def test_a_slow_request_does_not_hold_up_others(
    dispatch: NatsDispatchServer, link: NatsDispatchLink
) -> None:
    release = asyncio.Event()

    async def wait_for_big(_: str, body: bytes) -> bytes:
        if msgspec.json.decode(body, type=ClaimRequest).backend == "big":
            await release.wait()
        return b"null"

    await dispatch.serve({"claim": wait_for_big})
    slow = asyncio.create_task(link.claim(CLAIM))
    assert await link.claim(ClaimRequest(executor="gpu-1", backend="small")) is None
    release.set()
    assert await slow is None


async def test_each_request_is_answered_by_one_of_several_dispatchers(
    open_app: Open, link: NatsDispatchLink
) -> None:
    heard: list[tuple[str, bytes]] = []
    for name in ("one", "two"):
        await NatsDispatchServer(await open_app(name)).serve({"claim": answering(None, heard)})
    for _ in range(20):
        await link.claim(CLAIM)
    assert len(heard) == 20


async def test_wake_ups_and_cancels_arrive(dispatch: NatsDispatchServer, link: NatsDispatchLink) -> None:
    woken, cancelled = asyncio.Event(), asyncio.Queue[HeldAttempt]()
    link.on_wake(woken.set)
    link.on_cancel(cancelled.put_nowait)
    await dispatch.serve({"claim": answering(None)})
    await link.claim(CLAIM)  # by now the server knows what the executor listens to
    await dispatch.wake()
    await dispatch.cancel("gpu-2", HeldAttempt(RUN, 1))
    await dispatch.cancel("gpu-1", HeldAttempt(RUN, 2))
    async with asyncio.timeout(5):
        await woken.wait()
        assert await cancelled.get() == HeldAttempt(RUN, 2)


async def test_while_the_server_is_away_everybody_says_so_or_drops(
    server: Server, dispatch: NatsDispatchServer, link: NatsDispatchLink
) -> None:
    await dispatch.serve({"claim": answering(ASSIGNMENT)})
    await link.claim(CLAIM)
    server.kill()
    with pytest.raises(DispatchUnavailableError):
        await link.claim(CLAIM)
    await link.progress(ASSIGNMENT.owner, Progress(run=RUN, epoch=1, percent=10))
    await dispatch.wake()
    server.start()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await link.claim(CLAIM) == ASSIGNMENT
                return
            except DispatchUnavailableError:
                await asyncio.sleep(0.01)


# --- what an executor may not do


async def refused(executor: Connection, subject: str, reply: str = "") -> bool:
    """Whether the server told the executor that it may not publish there."""
    told = asyncio.Event()

    async def tell(_: Exception) -> None:
        told.set()

    executor.client._error_cb = tell  # the server's only answer to a forbidden publish
    await executor.client.publish(subject, b"{}", reply=reply)
    try:
        async with asyncio.timeout(1):
            await told.wait()
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    "subject",
    [
        "events.run.x.forged.v1",
        "runs.claim.gpu-2",
        "runs.beat.gpu-2",
        "runs.report.gpu-2",
        "runs.open.gpu-2",
        "runs.wake.shared",
        "exec.gpu-2.cancel",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.CONSUMER.CREATE.EVENTS",
    ],
)
async def test_an_executor_may_not_publish_elsewhere(open_executor: Open, subject: str) -> None:
    assert await refused(await open_executor("gpu-1"), subject)


async def test_an_executor_may_publish_its_own(open_executor: Open) -> None:
    assert not await refused(await open_executor("gpu-1"), "runs.claim.gpu-1")


@pytest.mark.parametrize(
    "subject", ["events.>", ">", "exec.gpu-2.>", "_INBOX_gpu-2.>", "_INBOX.>", "progress.>", "runs.claim.*"]
)
async def test_an_executor_hears_nothing_of_others(
    open_executor: Open, connection: Connection, subject: str
) -> None:
    executor = await open_executor("gpu-1")
    heard: list[str] = []

    async def hear(message: object) -> None:
        heard.append(str(message))

    await executor.client.subscribe(subject, cb=hear)
    await NatsDispatchServer(connection).serve({"claim": answering(None)})
    await connection.client.publish("events.run.x.started.v1", b"{}")
    await connection.client.publish("exec.gpu-2.cancel", b"{}")
    await connection.client.publish("_INBOX_gpu-2.x", b"{}")
    link = NatsDispatchLink(executor, "gpu-1")
    assert await link.claim(CLAIM) is None  # everything sent before has arrived, where it may
    assert heard == []


async def test_an_executor_has_no_jetstream(open_executor: Open) -> None:
    executor = await open_executor("gpu-1")
    with pytest.raises((Error, NotFoundError)):
        await executor.client.jetstream(timeout=0.5).stream_info(STREAM)


@pytest.mark.parametrize("verb", ["claim", "report"])
async def test_a_reply_subject_cannot_make_us_forge_an_event(
    open_executor: Open, connection: Connection, verb: str
) -> None:
    events = NatsEventStream(connection)
    await events.ensure(uuid4(), Position(0))
    await NatsDispatchServer(connection).serve({verb: answering(None)})
    executor = await open_executor("gpu-1")
    await executor.client.publish(f"runs.{verb}.gpu-1", b"{}", reply="events.run.x.forged.v1")
    with pytest.raises((Error, DispatchUnavailableError)):
        await executor.client.request("runs.claim.gpu-2", b"{}", timeout=0.3)
    assert (await connection.client.jetstream().stream_info(STREAM)).state.messages == 0


async def test_even_inside_app_answers_go_to_inboxes_only(connection: Connection, open_app: Open) -> None:
    events = NatsEventStream(connection)
    await events.ensure(uuid4(), Position(0))
    dispatch = NatsDispatchServer(connection)
    await dispatch.serve({"claim": answering(None)})
    other = await open_app("other")
    await other.client.publish("runs.claim.gpu-1", b"{}", reply="events.run.x.forged.v1")
    assert (await other.client.request("runs.claim.gpu-1", b"{}", timeout=5)).data == b"null"
    assert (await connection.client.jetstream().stream_info(STREAM)).state.messages == 0
