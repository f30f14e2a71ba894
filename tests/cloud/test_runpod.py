"""Runs on RunPod: each job once, whatever happens to the executor, the line, or RunPod."""

from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace
from PIL import Image

from adapters.cloud.runpod import RunPodBackend
from adapters.cloud.runpod_client import Client, Endpoint
from adapters.outbound.guard import Guard
from adapters.outbound.transport import KeptTransport
from domain.backend import Kind
from domain.ids import attempt_id
from domain.outcome import FailureKind
from domain.run import RunClaimed, Status
from infra.lines import KINDS
from services.ports.backend import BackendUnavailableError, GraphRefusedError, OutputMissingError, Place
from services.ports.messages import BackendOrder
from tests.cloud.runpod import KEY, RunPod, runpod
from tests.execution.dispatch import MemoryDispatch
from tests.execution.store import ObjectServer
from tests.execution.workshop import SharedSandbox, eventually, executor, failing, picture, sleeping


@pytest.fixture
async def cloud(comfyui: SharedSandbox) -> AsyncIterator[RunPod]:
    async with runpod(comfyui.url) as cloud:
        yield cloud


@pytest.fixture
async def transport() -> AsyncIterator[KeptTransport]:
    async with KeptTransport() as transport:
        yield transport


def backend(cloud: RunPod, transport: KeptTransport, key: str = KEY) -> RunPodBackend:
    return RunPodBackend("cloud", Client(Endpoint(url=cloud.endpoint_url, key=key), transport, transport))


def attempts(dispatch: MemoryDispatch, run: object) -> int:
    return sum(isinstance(event, RunClaimed) for event in dispatch.events[run])  # type: ignore[index]


async def test_a_run_is_drawn_and_its_outputs_are_brought_home(
    dispatch: MemoryDispatch, store: ObjectServer, cloud: RunPod, transport: KeptTransport, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [backend(cloud, transport)]):
        run = dispatch.submit(picture(prefix="cat", width=320, height=200, batch_size=3))
        await dispatch.ends(run)
    state = dispatch.state(run)
    assert state.status is Status.SUCCEEDED
    outputs = [each.output for each in dispatch.outputs(run)]
    assert [(output.node, output.index) for output in outputs] == [("2", 0), ("2", 1), ("2", 2)]
    assert {Image.open(BytesIO(store.objects[output.digest])).size for output in outputs} == {(320, 200)}
    assert all(output.name.startswith("cat_") and output.thumbnails for output in outputs)
    assert cloud.asked["run"] == 1


async def test_an_endpoint_is_driven_by_order_and_found_again_after_a_kill(
    dispatch: MemoryDispatch, store: ObjectServer, cloud: RunPod, tmp_path: Path
) -> None:
    order = BackendOrder(name="cloud", access=UUID(int=1), kind=Kind.RUNPOD, url=cloud.endpoint_url)
    dispatch.orders = [replace(order, header="authorization", value=f"Bearer {KEY}")]
    async with executor(dispatch, store, tmp_path, []) as running:
        run = dispatch.submit(sleeping(1.0))
        await dispatch.until(lambda: attempts(dispatch, run) == 1)
        await eventually(_spooled(tmp_path))
        await running.kill()
    async with executor(dispatch, store, tmp_path, []):
        await dispatch.ends(run)
    assert dispatch.state(run).status is Status.SUCCEEDED
    assert (attempts(dispatch, run), cloud.asked["run"], len(dispatch.outputs(run))) == (1, 1, 1)


async def test_a_kind_that_an_executor_does_not_know_keeps_it_from_nothing(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    dispatch.orders = [
        BackendOrder(name="strange", access=UUID(int=1), kind="fal", url=comfyui.url),
        BackendOrder(name="known", access=UUID(int=2), url=comfyui.url),
    ]
    async with executor(dispatch, store, tmp_path, []):
        run = dispatch.submit(picture())
        await dispatch.ends(run)
    assert dispatch.state(run).status is Status.SUCCEEDED


@pytest.mark.parametrize("moment", ["in the queue", "running", "over"])
async def test_an_executor_that_is_killed_finds_its_job_again(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    cloud: RunPod,
    transport: KeptTransport,
    tmp_path: Path,
    moment: str,
) -> None:
    if moment == "in the queue":
        cloud.workers.clear()
    async with executor(dispatch, store, tmp_path, [backend(cloud, transport)]) as running:
        run = dispatch.submit(sleeping(1.5))
        await dispatch.until(lambda: attempts(dispatch, run) == 1)

        async def there() -> bool:
            return bool(cloud.jobs) and (
                moment == "in the queue" or next(iter(cloud.jobs.values())).status != "IN_QUEUE"
            )

        await eventually(there)
        await eventually(_spooled(tmp_path))
        await running.kill()
    if moment == "over":

        async def over() -> bool:
            return next(iter(cloud.jobs.values())).status == "COMPLETED"

        await eventually(over)
    cloud.workers.set()
    async with executor(dispatch, store, tmp_path, [backend(cloud, transport)]):
        await dispatch.ends(run)
    assert dispatch.state(run).status is Status.SUCCEEDED
    assert (attempts(dispatch, run), cloud.asked["run"], len(dispatch.outputs(run))) == (1, 1, 1)


def _spooled(folder: Path) -> Callable[[], Awaitable[bool]]:
    async def spooled() -> bool:
        return b'"called"' in (folder / "spool" / "journal").read_bytes()

    return spooled


async def test_a_job_whose_name_was_lost_is_not_waited_for_and_not_read(
    dispatch: MemoryDispatch, store: ObjectServer, cloud: RunPod, transport: KeptTransport, tmp_path: Path
) -> None:
    """RunPod has taken it and nobody heard: the attempt is lost, another one is made, and each was sent once."""
    cloud.lose = 1
    async with executor(dispatch, store, tmp_path, [backend(cloud, transport)]):
        run = dispatch.submit(picture())
        await dispatch.ends(run)
    assert dispatch.state(run).status is Status.SUCCEEDED
    assert (attempts(dispatch, run), cloud.asked["run"], len(dispatch.outputs(run))) == (2, 2, 1)


async def test_a_cancelled_run_is_cancelled_at_runpod(
    dispatch: MemoryDispatch, store: ObjectServer, cloud: RunPod, transport: KeptTransport, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [backend(cloud, transport)]):
        run = dispatch.submit(sleeping(60))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        dispatch.cancel(run)
        after = dispatch.submit(picture())
        await dispatch.ends(after)
    assert [job.status for job in cloud.jobs.values()] == ["CANCELLED", "COMPLETED"]
    assert dispatch.state(run).status is Status.CANCELLED


async def test_who_is_asked_too_often_is_asked_later_and_loses_nothing(
    dispatch: MemoryDispatch, store: ObjectServer, cloud: RunPod, transport: KeptTransport, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [backend(cloud, transport)]):
        cloud.busy = 5
        run = dispatch.submit(sleeping(0.5))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        cloud.busy = 5
        await dispatch.ends(run)
    assert dispatch.state(run).status is Status.SUCCEEDED
    assert attempts(dispatch, run) == 1


async def test_a_node_that_fails_is_told_without_the_workers_paths(
    dispatch: MemoryDispatch, store: ObjectServer, cloud: RunPod, transport: KeptTransport, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [backend(cloud, transport)]):
        broken = dispatch.submit(failing("cannot read /srv/models/x"))
        refused = dispatch.submit({"1": {"class_type": "NoSuchNode", "inputs": {}}})
        await dispatch.ends(broken, Status.FAILED)
        await dispatch.ends(refused, Status.FAILED)
    kinds = []
    for run in (broken, refused):
        failure = dispatch.failure(run)
        assert "/" not in failure.reason
        kinds.append(failure.kind)
    assert kinds == [FailureKind.NODE, FailureKind.VALIDATION]


async def test_a_job_that_took_too_long_for_the_endpoint_is_over(
    cloud: RunPod, transport: KeptTransport
) -> None:
    line, attempt = backend(cloud, transport), attempt_id(MemoryDispatch().submit(picture()), 1)
    job = await line.submit(attempt, sleeping(30))
    cloud.jobs[job].status = "TIMED_OUT"
    (ending,) = await line.look([attempt])
    assert ending.failure.kind is FailureKind.TIMEOUT  # type: ignore[union-attr]
    cloud.expire()
    assert await line.look([attempt]) == [Place.NOWHERE]


async def test_results_in_a_bucket_are_fetched_but_never_from_inside(
    cloud: RunPod, transport: KeptTransport
) -> None:
    cloud.bucket = True
    attempt = attempt_id(MemoryDispatch().submit(picture()), 1)
    line = backend(cloud, transport)
    job = await line.submit(attempt, picture())

    async def over() -> bool:
        return cloud.jobs[job].status == "COMPLETED"

    await eventually(over)
    (ending,) = await line.look([attempt])
    (file,) = ending.files  # type: ignore[union-attr]
    assert (await line.fetch(file, 10**7)).startswith(b"\x89PNG")
    with pytest.raises(OutputMissingError):
        await line.fetch(file, 10)
    guard = Guard()
    async with KeptTransport(resolve=guard) as outside:
        endpoint = Endpoint(url=cloud.endpoint_url, key=KEY)
        guarded = RunPodBackend("cloud", Client(endpoint, transport, outside))
        with pytest.raises(BackendUnavailableError):
            await guarded.fetch(file, 10**7)
    guard.close()
    cloud.expire()
    with pytest.raises(OutputMissingError, match="no longer"):
        await backend(cloud, transport).fetch(file, 10**7)


async def test_pictures_that_a_graph_loads_travel_with_it(cloud: RunPod, transport: KeptTransport) -> None:
    body = BytesIO()
    Image.new("RGB", (40, 30), "red").save(body, "PNG")
    line = backend(cloud, transport)
    name = await line.upload("comfyplus-picture.png", body.getvalue(), "image/png")
    graph = picture()
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": name}}
    attempt = attempt_id(MemoryDispatch().submit(graph), 1)
    job = await line.submit(attempt, graph)

    async def over() -> bool:
        return cloud.jobs[job].status == "COMPLETED"

    await eventually(over)
    (ending,) = await line.look([attempt])
    fetched = await line.fetch(ending.files[0], 10**7)  # type: ignore[union-attr]
    assert Image.open(BytesIO(fetched)).size == (40, 30)


async def test_what_is_too_large_is_refused_before_it_is_sent(
    cloud: RunPod, transport: KeptTransport
) -> None:
    graph = picture() | {"9": {"class_type": "Note", "inputs": {"text": "x" * 10_000_000}}}
    with pytest.raises(GraphRefusedError, match="larger"):
        await backend(cloud, transport).submit(attempt_id(MemoryDispatch().submit(graph), 1), graph)
    assert cloud.asked["run"] == 0


async def test_a_wrong_key_is_told_and_never_shown(cloud: RunPod, transport: KeptTransport) -> None:
    line = backend(cloud, transport, key="rpa_WRONG")
    with pytest.raises(BackendUnavailableError, match="401") as told:
        await line.sight()
    assert "rpa_WRONG" not in str(told.value) + repr(Endpoint(url="https://x", key="rpa_WRONG"))
    assert (await backend(cloud, transport).sight()).device == "1 workers"


def test_every_kind_of_backend_can_be_driven() -> None:
    assert set(KINDS) == set(Kind)
