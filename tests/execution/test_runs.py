"""What becomes of a run, with a real sandbox and a real object server."""

import asyncio
from io import BytesIO
from pathlib import Path
from time import monotonic

import msgspec
import pytest
from PIL import Image

from domain.ids import attempt_id
from domain.outcome import FailureKind
from domain.run import RunClaimed, RunFailed, RunSucceeded, Status
from services.ports.messages import Started, Stored, Succeeded
from tests.execution.dispatch import MemoryDispatch
from tests.execution.store import ObjectServer
from tests.execution.workshop import SharedSandbox, executor, failing, picture, sleeping
from workflows.protocol.messages import ExecutionCached, decode_message


async def test_a_run_brings_its_picture_home(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture(prefix="deep/ly/cat", width=900, height=300))
        await dispatch.ends(run)

    (stored,) = dispatch.outputs(run)
    output = stored.output
    assert (output.node, output.index, output.name) == ("2", 0, "cat_00001_.png")
    assert (output.subfolder, output.type) == ("deep/ly", "output")
    assert (output.media_type, output.width, output.height) == ("image/png", 900, 300)
    assert [(thumb.width, thumb.height) for thumb in output.thumbnails] == [(256, 85), (768, 256)]
    assert Image.open(BytesIO(store.objects[output.digest])).size == (900, 300)
    assert Image.open(BytesIO(store.objects[output.thumbnails[0].digest])).format == "WEBP"
    assert store.media_types[output.thumbnails[0].digest] == "image/webp"
    assert output.size_bytes == len(store.objects[output.digest])


async def test_a_short_run_is_one_report(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url], started_after_s=5):
        run = dispatch.submit(picture())
        await dispatch.ends(run)

    (report,) = dispatch.reports
    assert [type(fact) for fact in report.facts] == [Started, Stored, Succeeded]


async def test_a_prompt_that_is_over_is_reported_without_waiting_for_what_would_come_ahead(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    dispatch.prompted = True
    async with executor(dispatch, store, tmp_path, [comfyui.url], ahead_s=60):
        run = dispatch.submit(picture())
        await dispatch.ends(run)

    assert len(dispatch.outputs(run)) == 1


async def test_how_a_prompt_begins_is_told_at_once(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    """Also right behind another one, of which something has just been told."""
    dispatch.prompted = True
    async with executor(dispatch, store, tmp_path, [comfyui.url], advance_s=60):
        for _ in range(2):
            dispatch.told.clear()
            run = dispatch.submit(sleeping(1.0))
            await dispatch.until(lambda: bool(dispatch.told))
            assert isinstance(decode_message(bytes(dispatch.told[0].messages[0])), ExecutionCached)
            await dispatch.ends(run)


async def test_a_long_run_is_reported_started_while_it_runs(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(sleeping(1.0))
        await dispatch.until(lambda: dispatch.state(run).status is Status.RUNNING)
        assert dispatch.outputs(run) == []
        await dispatch.ends(run)

    assert dispatch.starts(run) == 1
    assert [[type(fact) for fact in report.facts] for report in dispatch.reports] == [
        [Started],
        [Stored, Succeeded],
    ]


async def test_progress_grows_and_is_not_told_too_often(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(sleeping(1.0, steps=200))
        began = monotonic()
        await dispatch.ends(run)
        took = monotonic() - began

    percents = [step.percent for step in dispatch.steps if step.run == run]
    assert percents == sorted(percents)
    assert 3 <= len(percents) <= took * 11 + 2
    assert percents[0] < 50 < percents[-1] <= 100
    assert {step.node_class for step in dispatch.steps} >= {"SandboxSleep"}


async def test_previews_reach_the_watchers(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        await comfyui.misbehave(node_time_s=0.5, slow_nodes=["VAEDecode"])
        run = dispatch.submit(sampling(steps=20))
        await dispatch.ends(run)

    assert dispatch.previews
    for _, image, media_type in dispatch.previews:
        assert media_type in ("image/jpeg", "image/png")
        assert Image.open(BytesIO(image)).width > 0


async def test_every_picture_of_a_batch_is_stored_in_order(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture(batch_size=7))
        await dispatch.ends(run)

    outputs = [stored.output for stored in dispatch.outputs(run)]
    assert [output.index for output in outputs] == list(range(7))
    assert [output.name for output in outputs] == [f"ComfyUI_0000{n}_.png" for n in range(1, 8)]


async def test_what_is_only_shown_is_kept_too_even_when_shown_before(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    graph = picture()
    graph["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        for _ in range(2):
            run = dispatch.submit(graph)
            await dispatch.ends(run)
            assert len(dispatch.outputs(run)) == 1
            for file in (comfyui.directory / "base" / "temp").iterdir():
                file.unlink()


async def test_the_same_graph_twice_gives_two_accounts_two_files(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        graph = picture()
        runs = [dispatch.submit(graph) for _ in range(2)]
        for run in runs:
            await dispatch.ends(run)

    assert [len(comfyui.saved(attempt_id(run, 1))) for run in runs] == [1, 1]


async def test_many_runs_all_end_once(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        runs = [dispatch.submit(picture()) for _ in range(60)]
        for run in runs:
            await dispatch.ends(run)
            assert len(dispatch.outputs(run)) == 1
    assert list((tmp_path / "spool" / "outputs").iterdir()) == []


async def test_a_large_graph_is_fetched_from_the_store(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    dispatch.inline_graphs = False
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture())
        store.objects[dispatch.digest(run)] = dispatch.graphs[run]
        await dispatch.ends(run)


async def test_a_broken_node_is_named_without_server_paths(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(failing("cannot read /srv/models/user-0123456789ab/face.safetensors today"))
        await dispatch.ends(run, Status.FAILED)

    failure = dispatch.failure(run)
    assert (failure.kind, failure.node, failure.node_class) == (FailureKind.NODE, "3", "SandboxFail")
    assert failure.reason == "cannot read (a file on the server) today"
    assert failure.advice


@pytest.mark.parametrize(
    ("change", "node", "reason"),
    [
        ({"class_type": "NoSuchNode", "inputs": {}}, "1", "This backend does not have the node NoSuchNode."),
        ({"class_type": "EmptyImage", "inputs": {"width": 0, "height": 64, "batch_size": 1, "color": 0}}, "1",
         "width is too small: 0."),
    ],
)  # fmt: skip
async def test_a_refused_graph_fails_and_says_why(
    dispatch: MemoryDispatch,
    store: ObjectServer,
    comfyui: SharedSandbox,
    tmp_path: Path,
    change: dict[str, object],
    node: str,
    reason: str,
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture() | {"1": change})
        await dispatch.ends(run, Status.FAILED)

    failure = dispatch.failure(run)
    assert (failure.kind, failure.node, failure.reason) == (FailureKind.VALIDATION, node, reason)


async def test_a_missing_model_is_named_and_nobody_elses_is(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    graph = sampling(steps=1)
    graph["1"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "mine.safetensors"}}
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(graph)
        await dispatch.ends(run, Status.FAILED)

    failure = dispatch.failure(run)
    assert failure.reason == "ckpt_name: mine.safetensors is not available on this backend."
    assert "sandbox.safetensors" not in msgspec.json.encode(failure).decode()


async def test_a_graph_of_which_a_part_would_be_left_out_is_not_run(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    graph = sleeping(30) | {"9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(graph)
        await dispatch.ends(run, Status.FAILED)
        after = dispatch.submit(picture())
        await dispatch.ends(after)

    assert (dispatch.failure(run).kind, dispatch.failure(run).node) == (FailureKind.VALIDATION, "9")


async def test_out_of_memory_is_tried_once_more(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    await comfyui.misbehave(out_of_memory_at="EmptyImage")
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(picture())
        await dispatch.ends(run, Status.FAILED)

    assert dispatch.failure(run).kind is FailureKind.OUT_OF_MEMORY
    assert sum(isinstance(event, RunClaimed) for event in dispatch.events[run]) == 2


async def test_a_file_that_has_vanished_fails_the_run(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url], file_limit_bytes=50):
        run = dispatch.submit(picture())
        await dispatch.ends(run, Status.FAILED)

    assert dispatch.failure(run).kind is FailureKind.OUTPUT


async def test_two_backends_share_the_work(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    await comfyui.misbehave(node_time_s=0.2)
    async with executor(dispatch, store, tmp_path, [comfyui.url, comfyui.url]):
        runs = [dispatch.submit(picture()) for _ in range(6)]
        await asyncio.gather(*(dispatch.ends(run) for run in runs))

    assert {dispatch.state(run).backend for run in runs} == {"backend-0", "backend-1"}


def sampling(steps: int) -> dict[str, object]:
    def node(class_type: str, **inputs: object) -> dict[str, object]:
        return {"class_type": class_type, "inputs": inputs}

    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="sandbox.safetensors"),
        "2": node("CLIPTextEncode", text="a cat", clip=["1", 1]),
        "3": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "4": node(
            "KSampler",
            model=["1", 0],
            positive=["2", 0],
            negative=["2", 0],
            latent_image=["3", 0],
            seed=1,
            steps=steps,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "5": node("VAEDecode", samples=["4", 0], vae=["1", 2]),
        "6": node("SaveImage", images=["5", 0], filename_prefix="cat"),
    }


async def test_the_end_of_a_run_tells_how_long_its_nodes_took(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(sleeping(0.3))
        await dispatch.ends(run)
        late = failing() | {"4": sleeping(0.1)["3"]}
        late["3"]["inputs"]["image"] = ["4", 0]
        broken = dispatch.submit(late)
        await dispatch.ends(broken, Status.FAILED)
    succeeded = dispatch.events[run][-1]
    assert isinstance(succeeded, RunSucceeded)
    spent = {each.node: each.seconds for each in succeeded.nodes}
    assert list(spent) == ["1", "3", "2"]
    assert 0.25 < spent["3"] <= succeeded.execution_s + 0.05
    assert succeeded.backend == "backend-0"
    failed = dispatch.events[broken][-1]
    assert isinstance(failed, RunFailed)
    assert [each.node for each in failed.nodes] == ["1", "4", "3"]
    assert failed.backend == "backend-0"
    assert failed.execution_s > 0.05
