"""LoRAs on their way to a backend: there before the graph, whole, once, and for as long as somebody needs them."""

import hashlib
import os
import time
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.models.folder import OURS, DiskModels, ModelsInUseError
from domain.attempt import Retries
from domain.ids import AccountId, AttemptId, Digest
from domain.lora import file_name, graph_path
from domain.outcome import FailureKind
from domain.run import Status
from services.ports.model_files import FolderFullError
from tests.execution.dispatch import MemoryDispatch
from tests.execution.store import ObjectServer
from tests.execution.workshop import Graph, SharedSandbox, eventually, executor
from tests.loras.files import lora

OWNER = AccountId(UUID(int=0xA))
SEEDS = count(1)


def kept(store: ObjectServer, body: bytes, name: str = "light") -> str:
    """Put a LoRA into the object store. Returns its name in a graph."""
    digest = Digest(hashlib.sha256(body).hexdigest())
    store.objects[digest] = body
    return graph_path(OWNER, file_name(f"{name}.safetensors", digest))


def drawn(*loras: str) -> Graph:
    """A picture, with all of them one after the other; the last by the loader that has no clip."""
    nodes: dict[str, Any] = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sandbox.safetensors"}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "cat", "clip": ["1", 1]}},
    }
    model = "1"
    for number, name in enumerate(loras, 10):
        inputs: dict[str, Any] = {"model": [model, 0], "lora_name": name, "strength_model": 1.0}
        kind = "LoraLoaderModelOnly"
        if number < 9 + len(loras):
            kind, inputs = "LoraLoader", inputs | {"clip": ["1", 1], "strength_clip": 1.0}
        nodes[str(number)] = {"class_type": kind, "inputs": inputs}
        model = str(number)
    sampler = {"seed": next(SEEDS), "steps": 2, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal"}
    links = {"model": [model, 0], "positive": ["3", 0], "negative": ["3", 0], "latent_image": ["2", 0]}
    nodes["4"] = {"class_type": "KSampler", "inputs": sampler | links | {"denoise": 1.0}}
    nodes["5"] = {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}}
    nodes["6"] = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "lit"}}
    return nodes


def brought(models: Path) -> set[str]:
    return {str(path.relative_to(models / "loras")) for path in (models / "loras").glob("user-*/*")}


async def test_the_backend_finds_the_file_where_the_graph_says(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, models: Path, tmp_path: Path
) -> None:
    light, fog = lora(mark=1), lora(mark=2, extra=3_000_000)
    names = kept(store, light), kept(store, fog, "fog")
    async with executor(dispatch, store, tmp_path, [comfyui.url], models=models):
        run = dispatch.submit(drawn(*names))
        await dispatch.ends(run)
        assert len(dispatch.outputs(run)) == 1
    for name, body in zip(names, (light, fog), strict=True):
        assert name.startswith(f"user-{OWNER}/")
        assert (models / "loras" / name).read_bytes() == body
    assert [path.name for path in (models / OURS).iterdir()] == ["lock"]  # no lease outlives its attempt


async def test_where_no_folder_is_seen_no_lora_is_taken(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    dispatch.retries = Retries(1, timedelta(0))
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(drawn(kept(store, lora())))
        await dispatch.ends(run, Status.FAILED)
    failure = dispatch.failure(run)
    assert failure.kind is FailureKind.TRANSPORT
    assert "backend-0 takes no LoRAs" in failure.reason
    assert dispatch.state(run).lost_attempts == 2  # it was tried elsewhere, had there been an elsewhere


async def test_a_backend_that_sees_its_folder_gets_what_another_refused(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, models: Path, tmp_path: Path
) -> None:
    dispatch.retries = Retries(200, timedelta(0))  # to refuse takes no time
    async with executor(dispatch, store, tmp_path, [comfyui.url, comfyui.url], models=models):
        runs = [dispatch.submit(drawn(kept(store, lora(mark=mark)))) for mark in range(4)]
        for run in runs:
            await dispatch.ends(run)
            assert dispatch.state(run).backend == "backend-0"


async def test_two_attempts_wait_for_one_download(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, models: Path, tmp_path: Path
) -> None:
    name = kept(store, lora(mark=7))
    store.hold.clear()
    async with executor(dispatch, store, tmp_path, [comfyui.url], models=models):
        runs = [dispatch.submit(drawn(name)) for _ in range(2)]
        await dispatch.until(lambda: all(dispatch.state(run).status is Status.CLAIMED for run in runs))
        await eventually(_so(lambda: store.gets.total() == 1))
        assert {each for each in brought(models) if not each.endswith(".tmp")} == set()
        store.hold.set()
        for run in runs:
            await dispatch.ends(run)
    assert store.gets.total() == 1


async def test_what_another_process_was_writing_is_never_seen_and_is_cleared_away(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, models: Path, tmp_path: Path
) -> None:
    """As after kill -9 amid a download: what is left has no name of a model, and goes at the next start."""
    body = lora(mark=8, extra=2_000_000)
    name = kept(store, body)
    half = models / "loras" / f"{name}.0badcafe.tmp"
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(body[:-1])
    async with executor(dispatch, store, tmp_path, [comfyui.url], models=models):
        assert not half.exists()
        run = dispatch.submit(drawn(name))
        await dispatch.ends(run)
    assert brought(models) == {name}


async def test_an_executor_that_is_killed_amid_a_download_begins_it_again(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, models: Path, tmp_path: Path
) -> None:
    name = kept(store, lora(mark=9, extra=2_000_000))
    store.hold.clear()
    async with executor(dispatch, store, tmp_path, [comfyui.url], models=models):
        run = dispatch.submit(drawn(name))
        await eventually(_so(lambda: store.gets.total() == 1))
    assert {each for each in brought(models) if not each.endswith(".tmp")} == set()
    store.hold.set()
    async with executor(dispatch, store, tmp_path, [comfyui.url], models=models):
        await dispatch.ends(run)
    assert brought(models) == {name}
    assert dispatch.state(run).epoch == 1


async def test_bytes_that_are_others_never_become_a_file(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, models: Path, tmp_path: Path
) -> None:
    body = lora(mark=10)
    name = kept(store, body)
    digest = hashlib.sha256(body).hexdigest()
    store.objects[digest] = body[:-1] + b"!"
    async with executor(dispatch, store, tmp_path, [comfyui.url], models=models):
        run = dispatch.submit(drawn(name))
        await eventually(_so(lambda: store.gets.total() >= 2))
        assert {each for each in brought(models) if not each.endswith(".tmp")} == set()
        store.objects[digest] = body
        await dispatch.ends(run)


async def test_the_one_unused_for_longest_makes_room(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, models: Path, tmp_path: Path
) -> None:
    bodies = [lora(mark=mark, extra=1_000_000) for mark in range(20, 23)]
    first, second, third = (kept(store, body) for body in bodies)
    limit = len(bodies[0]) * 2 + 1000
    async with executor(dispatch, store, tmp_path, [comfyui.url], models=models, lora_limit_bytes=limit):
        for name in (first, second, first, third):
            await dispatch.ends(dispatch.submit(drawn(name)))
    assert brought(models) == {first, third}
    os.utime(models / "loras" / third, (1, 1))  # as it would be after months
    async with executor(dispatch, store, tmp_path, [comfyui.url], models=models, lora_limit_bytes=limit):
        await dispatch.ends(dispatch.submit(drawn(second)))
    assert brought(models) == {first, second}


async def test_what_a_run_needs_is_not_removed_for_another(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, models: Path, tmp_path: Path
) -> None:
    bodies = [lora(mark=mark, extra=1_000_000) for mark in (30, 31)]
    held, other = (kept(store, body) for body in bodies)
    dispatch.retries = Retries(0, timedelta(0))
    graph = drawn(held)
    graph["7"] = {"class_type": "SandboxSleep", "inputs": {"seconds": 3, "steps": 30, "image": ["5", 0]}}
    graph["6"]["inputs"]["images"] = ["7", 0]
    limit = len(bodies[0]) + 1000
    async with executor(dispatch, store, tmp_path, [comfyui.url], models=models, lora_limit_bytes=limit):
        first = dispatch.submit(graph)
        await dispatch.until(lambda: dispatch.state(first).status is Status.RUNNING)
        second = dispatch.submit(drawn(other))
        await dispatch.ends(second, Status.FAILED)
        assert "no room" in dispatch.failure(second).reason
        assert brought(models) == {held}
        await dispatch.ends(first)
        await dispatch.ends(dispatch.submit(drawn(other)))
    assert brought(models) == {other}


def test_leases_are_known_after_a_restart_and_files_are_found_again(tmp_path: Path) -> None:
    digest = Digest("ab" * 32)
    name = graph_path(OWNER, file_name("a.safetensors", digest))
    attempt = AttemptId(uuid4())
    folder = DiskModels(tmp_path)
    (tmp_path / "loras" / name).parent.mkdir()
    (tmp_path / "loras" / name).write_bytes(b"12345")
    (tmp_path / "loras" / "installed.safetensors").write_bytes(b"not ours")
    (tmp_path / "loras" / name).with_name("strange.safetensors").write_bytes(b"not ours either")
    folder.lease(attempt, [name])
    with pytest.raises(ModelsInUseError):
        DiskModels(tmp_path)
    folder.close()
    again = DiskModels(tmp_path)
    assert again.leases() == {attempt: frozenset([name])}
    assert {each: file.size_bytes for each, file in again.files().items()} == {name: 5}
    again.use(name)
    assert again.files()[name].used_at == pytest.approx(time.time(), abs=5)
    again.release(attempt)
    assert again.leases() == {}
    (tmp_path / "loras" / name).unlink()  # somebody cleaned up by hand
    assert again.files() == {}
    again.close()


async def test_more_than_the_disk_has_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    folder = DiskModels(tmp_path)
    name = graph_path(OWNER, file_name("a.safetensors", Digest("cd" * 32)))
    with pytest.raises((FolderFullError, OSError)):
        async with folder.incoming(name, 2**60):
            raise AssertionError("there is no such disk")
    assert list((tmp_path / "loras").rglob("*.*")) == []
    folder.close()


def _so(condition: Any) -> Any:
    async def holds() -> bool:
        return bool(condition())

    return holds
