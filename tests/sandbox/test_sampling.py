"""The chain from checkpoint to picture runs without a model, repeatably."""

import io
import struct

import pytest
from msgspec import json
from PIL import Image

from tests.comfyui.client import Client, Graph, node, types
from tests.sandbox.process import SandboxProcess
from workflows.protocol.frames import Preview
from workflows.protocol.history import output_files

DONE = {"exec_info": {"queue_remaining": 0}}


def text_to_image(prefix: str, seed: int = 1, steps: int = 3, lora: str | None = None) -> Graph:
    model = "2" if lora else "1"
    graph = {
        "1": node("CheckpointLoaderSimple", ckpt_name="sandbox.safetensors"),
        "3": node("CLIPTextEncode", text="a red cat, çedilla, 日本", clip=[model, 1]),
        "4": node("CLIPTextEncode", text="bad", clip=[model, 1]),
        "5": node("EmptyLatentImage", width=256, height=192, batch_size=1),
        "6": node(
            "KSampler",
            model=[model, 0],
            seed=seed,
            steps=steps,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            positive=["3", 0],
            negative=["4", 0],
            latent_image=["5", 0],
            denoise=1.0,
        ),
        "7": node("VAEDecode", samples=["6", 0], vae=["1", 2]),
        "8": node("SaveImage", images=["7", 0], filename_prefix=prefix),
    }
    if lora:
        strengths = {"strength_model": 1.0, "strength_clip": 1.0}
        graph["2"] = node("LoraLoader", model=["1", 0], clip=["1", 1], lora_name=lora, **strengths)
    return graph


async def drawn(server: Client, graph: Graph) -> bytes:
    async with server.listen() as listener:
        entry, _ = await server.run(listener, graph)
        ((_, file),) = output_files(entry.outputs["8"])
        answer = await server.http.get("/view", params={"filename": file.filename})
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.size == (256, 192)
            return image.tobytes()


async def test_the_same_seed_gives_the_same_picture(server: Client) -> None:
    first, again = await drawn(server, text_to_image("a")), await drawn(server, text_to_image("b"))
    assert first == again
    assert await drawn(server, text_to_image("a", seed=2)) != first


async def test_a_sampler_tells_steps_and_shows_previews_with_metadata(server: Client) -> None:
    async with server.listen(flags={"supports_preview_metadata": True}) as listener:
        entry, said = await server.run(listener, text_to_image("c", seed=3))
        assert types(said).count("progress") == 3
        first = listener.order.index("frame")
        assert listener.order[first - 1 : first + 2] == ["progress_state", "frame", "progress"]
        preview = listener.frames[0]
        assert isinstance(preview, Preview)
        assert preview.metadata is not None
        assert (preview.metadata.node_id, preview.metadata.prompt_id) == ("6", entry.prompt.prompt_id)
        assert preview.media_type == "image/jpeg"
        assert Image.open(io.BytesIO(preview.image)).format == "JPEG"


async def test_without_the_flag_a_preview_follows_its_step_and_names_nobody(server: Client) -> None:
    async with server.listen() as listener:
        await server.run(listener, text_to_image("d", seed=4))
        first = listener.order.index("frame")
        assert listener.order[first - 2 : first] == ["progress_state", "progress"]
        preview = listener.frames[0]
        assert isinstance(preview, Preview)
        assert preview.metadata is None


async def test_without_a_client_everybody_sees_the_preview_in_his_own_form(server: Client) -> None:
    async with (
        server.listen() as plain,
        server.listen(flags={"supports_preview_metadata": True}) as modern,
    ):
        await server.ended(await server.submit(text_to_image("e", seed=5)))
        for listener in (plain, modern):
            await listener.until(lambda message: message["data"].get("status") == DONE)
            assert len(listener.frames) == 3
        assert {isinstance(f, Preview) and f.metadata is None for f in plain.frames} == {True}
        assert {isinstance(f, Preview) and f.metadata is not None for f in modern.frames} == {True}


def lora(size: int = 16) -> bytes:
    header = json.encode({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})
    return struct.pack("<Q", len(header)) + header + bytes(size)


async def put_lora(process: SandboxProcess, name: str, body: bytes) -> None:
    path = process.directory / "base" / "models" / "loras" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


async def test_a_lora_is_listed_and_usable_as_soon_as_it_lies_there(
    server: Client, process: SandboxProcess
) -> None:
    name = "user-11111111-2222-3333-4444-555555555555/fine.safetensors"
    await put_lora(process, name, lora())
    assert name in (await server.http.get("/models/loras")).json()
    with_lora = await drawn(server, text_to_image("f", seed=6, lora=name))
    assert with_lora != await drawn(server, text_to_image("f", seed=6))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "header too small"),
        (b"<html>not a model</html>", "header too large"),
        (lora(3), "incomplete metadata, file not fully covered"),
    ],
)
async def test_a_broken_lora_fails_at_its_node(
    server: Client, process: SandboxProcess, body: bytes, reason: str
) -> None:
    name = f"broken-{len(body)}.safetensors"
    await put_lora(process, name, body)
    async with server.listen() as listener:
        _, said = await server.run(listener, text_to_image("g", lora=name))
        error = said[-2]["data"]
        assert error["node_type"] == "LoraLoader"
        assert error["exception_type"] == "safetensors._safetensors_rust.SafetensorError"
        assert error["exception_message"].endswith(f"{reason}\n")


async def test_clearing_the_queue_leaves_the_running_one(server: Client) -> None:
    running = await server.submit({"1": node("SandboxSleep", seconds=20, steps=100)})
    await server.running(running)
    waiting = await server.submit(text_to_image("h"))
    assert (await server.post("/queue", {"clear": True})).status_code == 200
    queue = await server.queue()
    assert queue["queue_pending"] == []
    assert [entry[1] for entry in queue["queue_running"]] == [running]
    await server.post("/interrupt")
    await server.ended(running)
    assert await server.history(waiting) == {}
