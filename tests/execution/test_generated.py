"""What the builder builds is really executed, by a ComfyUI that checks every input."""

import io
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from domain.ids import Digest
from domain.run import Status
from services.execution.inputs import name_of
from tests.execution.dispatch import OWNER, MemoryDispatch
from tests.execution.store import ObjectServer
from tests.execution.workshop import SharedSandbox, executor
from workflows.builder import build
from workflows.parameters import read_parameters

LEAST: dict[str, Any] = {
    "checkpoint": "sandbox.safetensors",
    "prompt": "a fox",
    "seed": 7,
    "steps": 2,
    "width": 64,
    "height": 64,
}


def png(width: int, height: int, color: int = 255) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (width, height), (color, 0, 0)).save(body, "PNG")
    return body.getvalue()


@pytest.fixture
async def pictures(comfyui: SharedSandbox) -> None:
    async with httpx.AsyncClient(base_url=comfyui.url, verify=False, trust_env=False) as client:
        for name, body in (("photo.png", png(96, 80)), ("mask.png", png(96, 80, 128))):
            files = {"image": (name, body, "image/png")}
            (await client.post("/upload/image", files=files, data={"overwrite": "true"})).raise_for_status()


@pytest.fixture
def loras(comfyui: SharedSandbox) -> list[str]:
    models = comfyui.directory / "base" / "models"
    for name in ("ink.safetensors", "soft.safetensors"):
        shutil.copy(models / "checkpoints" / "sandbox.safetensors", models / "loras" / name)
    return ["ink.safetensors", "soft.safetensors"]


async def made(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, folder: Path, **more: Any
) -> list[Image.Image]:
    """The pictures that a run of these parameters gives."""
    async with executor(dispatch, store, folder, [comfyui.url]):
        run = dispatch.submit(build(read_parameters(LEAST | more)))
        await dispatch.ends(run)
    found = [event.output for event in dispatch.outputs(run)]
    return [Image.open(io.BytesIO(store.objects[each.digest])) for each in found]


async def test_two_words_make_a_picture(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    first, second = await made(dispatch, store, comfyui, tmp_path, batch_size=2)
    assert first.size == second.size == (64, 64)
    assert first.tobytes() != second.tobytes()


async def test_the_same_seed_gives_the_same_pixels_and_loras_other_ones(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path, loras: list[str]
) -> None:
    chain = [{"name": loras[0], "strength_model": 0.5}, {"name": loras[1], "strength_clip": 0.25}]
    pixels = [
        (await made(dispatch, store, comfyui, tmp_path / str(number), **more))[0].tobytes()
        for number, more in enumerate(({}, {}, {"seed": 8}, {"loras": chain}, {"loras": chain[::-1]}))
    ]
    assert pixels[0] == pixels[1]
    assert len(set(pixels)) == 4


async def test_an_image_is_made_from_an_image(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path, pictures: None
) -> None:
    own_size = {"width": None, "height": None, "image": "photo.png"}
    (kept,) = await made(dispatch, store, comfyui, tmp_path / "kept", **own_size)
    assert kept.size == (96, 80)
    scaled = await made(dispatch, store, comfyui, tmp_path / "scaled", image="photo.png", batch_size=3)
    assert [each.size for each in scaled] == [(64, 64)] * 3


async def test_a_mask_makes_another_picture(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path, pictures: None
) -> None:
    (whole,) = await made(dispatch, store, comfyui, tmp_path / "whole", image="photo.png", denoise=1.0)
    (masked,) = await made(dispatch, store, comfyui, tmp_path / "masked", image="photo.png", mask="mask.png")
    assert whole.size == masked.size
    assert whole.tobytes() != masked.tobytes()


async def test_an_input_is_brought_to_the_backend_under_a_name_of_its_owners(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    digest = Digest("5e" * 32)
    store.objects[digest] = png(40, 24, 99)
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": f"input:{digest}"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    await comfyui.misbehave()
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        for _ in range(2):
            run = dispatch.submit(graph)
            await dispatch.ends(run)
            (event,) = dispatch.outputs(run)
            with Image.open(io.BytesIO(store.objects[event.output.digest])) as image:
                assert (image.size, image.getpixel((0, 0))) == ((40, 24), (99, 0, 0))
    brought = [path.name for path in (comfyui.directory / "base" / "input").glob(f"*{digest}*")]
    assert brought == [name_of(OWNER, digest)]


async def test_an_input_that_is_gone_fails_the_run_in_plain_words(
    dispatch: MemoryDispatch, store: ObjectServer, comfyui: SharedSandbox, tmp_path: Path
) -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": f"input:{'7f' * 32}"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    async with executor(dispatch, store, tmp_path, [comfyui.url]):
        run = dispatch.submit(graph)
        await dispatch.ends(run, Status.FAILED)
    assert "not there any more" in dispatch.failure(run).reason
