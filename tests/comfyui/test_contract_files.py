"""Files, models and what the server tells of itself."""

import io
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from adapters.comfyui.client import Address
from adapters.comfyui.client import Client as Backend
from adapters.outbound.transport import KeptTransport
from tests.comfyui.client import Client, colour, node, plain_graph
from tests.workflows.media_files import shape, sound
from workflows.media import TYPES
from workflows.protocol.history import OutputFile, output_files
from workflows.protocol.server import choices, decode_classes, decode_stats, decode_uploaded


async def saved(server: Client) -> tuple[OutputFile, dict[str, str]]:
    async with server.listen() as listener:
        entry, _ = await server.run(listener, plain_graph(f"view-{uuid4().hex}/it"))
        ((_, file),) = output_files(entry.outputs["3"])
        return file, {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}


async def view(server: Client, params: dict[str, str], **headers: str) -> httpx.Response:
    return await server.http.get("/view", params=params, headers=headers)


async def test_a_saved_file_is_served_with_its_name_and_tag(server: Client) -> None:
    file, params = await saved(server)
    answer = await view(server, params)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == f'filename="{file.filename}"'
    assert answer.content.startswith(b"\x89PNG")
    again = await view(server, params, **{"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = await view(server, params, Range="bytes=0-9")
    assert (part.status_code, part.content) == (206, answer.content[:10])
    head = await server.http.head("/view", params=params)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("preview", "media_type"),
    [("webp;80", "image/webp"), ("jpeg", "image/jpeg"), ("gif;50", "image/webp"), ("", "image/webp")],
)
async def test_previews_are_encoded_anew_at_full_size(server: Client, preview: str, media_type: str) -> None:
    _, params = await saved(server)
    answer = await view(server, params | {"preview": preview})
    assert answer.headers["content-type"] == media_type
    assert "etag" not in answer.headers
    assert Image.open(io.BytesIO(answer.content)).size == (32, 32)


async def test_a_folder_inside_the_filename_is_dropped(server: Client) -> None:
    file, params = await saved(server)
    found = await view(server, params | {"filename": f"elsewhere/{file.filename}"})
    assert found.status_code == 200
    lost = await view(server, {"filename": f"{file.subfolder}/{file.filename}", "type": "output"})
    assert lost.status_code == 404


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 404),
        ({"filename": ""}, 400),
        ({"filename": "nope.png"}, 404),
        ({"filename": "x.png", "type": "models"}, 400),
        ({"filename": "../../x.png"}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "passwd", "subfolder": "../../../../../etc"}, 403),
        ({"filename": "passwd", "subfolder": "/etc"}, 403),
    ],
)
async def test_what_cannot_be_viewed(server: Client, params: dict[str, str], status: int) -> None:
    answer = await view(server, params)
    assert (answer.status_code, answer.content) == (status, b"")


async def test_what_is_no_image_has_no_preview(server: Client) -> None:
    name = f"notes-{uuid4().hex}.txt"
    await server.upload(name, b"hello")
    plain = await view(server, {"filename": name, "type": "input"})
    assert (plain.status_code, plain.text) == (200, "hello")
    assert (await view(server, {"filename": name, "type": "input", "preview": "webp"})).status_code == 500


async def test_pages_are_not_served_as_pages(server: Client) -> None:
    name = f"page-{uuid4().hex}.html"
    await server.upload(name, b"<script>1</script>")
    answer = await view(server, {"filename": name, "type": "input"})
    assert answer.headers["content-type"] == "application/octet-stream"


def png(color: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (color & 255, 1, 2)).save(buffer, "PNG")
    return buffer.getvalue()


async def test_the_name_that_counts_is_the_one_that_comes_back(server: Client) -> None:
    stem = f"up-{uuid4().hex}"

    async def stored(color: int, **form: str) -> str:
        answer = await server.upload(f"{stem}.png", png(color), **form)
        assert answer.status_code == 200
        return decode_uploaded(answer.content).name

    assert await stored(1) == f"{stem}.png"
    assert await stored(1) == f"{stem}.png"
    assert await stored(2) == f"{stem} (1).png"
    assert await stored(2) == f"{stem} (1).png"
    assert await stored(3, overwrite="true") == f"{stem}.png"
    assert await stored(4, overwrite="True") == f"{stem} (2).png"


async def test_uploads_go_where_they_are_told(server: Client) -> None:
    folder = f"user-{uuid4().hex}/deep"
    answer = await server.upload("red.png", png(9), subfolder=folder, type="temp")
    assert answer.json() == {"name": "red.png", "subfolder": folder, "type": "temp"}
    found = await view(server, {"filename": "red.png", "subfolder": folder, "type": "temp"})
    assert found.content == png(9)


@pytest.mark.parametrize(
    ("form", "filename", "status"),
    [
        ({"type": "models"}, "x.png", 500),
        ({"subfolder": "../../evil"}, "x.png", 400),
        ({"subfolder": "/absolute/evil"}, "x.png", 400),
        ({}, "n" * 300 + ".png", 500),
    ],
)
async def test_what_cannot_be_uploaded(
    server: Client, form: dict[str, str], filename: str, status: int
) -> None:
    assert (await server.upload(filename, png(1), **form)).status_code == status


async def test_an_upload_needs_the_field_image(server: Client) -> None:
    answer = await server.http.post("/upload/image", files={"file": ("x.png", png(1))})
    assert answer.status_code == 400


async def test_a_shape_is_brought_to_where_its_nodes_look_for_it(server: Client) -> None:
    async with KeptTransport() as transport:
        ours = Backend(Address(server.url), transport)
        names = [
            await ours.upload(f"comfyplus-{uuid4().hex}{ending}", body, TYPES[ending])
            for ending, body in ((".glb", shape()), (".wav", sound()))
        ]
    assert [name.rpartition("/")[0] for name in names] == ["3d", ""]
    for name, body in zip(names, (shape(), sound()), strict=True):
        folder, _, last = name.rpartition("/")
        asked = {"filename": last, "subfolder": folder, "type": "input"}
        assert (await server.http.get("/view", params=asked)).content == body


async def test_an_uploaded_picture_can_be_loaded(server: Client) -> None:
    async with server.listen() as listener:
        name = f"load-{uuid4().hex}.png"
        await server.upload(name, png(7), subfolder="deep")
        graph = {
            "1": node("LoadImage", image=f"deep/{name}"),
            "2": node("PreviewImage", images=["1", 0]),
        }
        first, _ = await server.run(listener, graph)
        _, file = next(iter(output_files(first.outputs["2"])))
        answer = await view(server, {"filename": file.filename, "type": "temp"})
        assert Image.open(io.BytesIO(answer.content)).getpixel((1, 1)) == (7, 1, 2)
        await server.upload(name, png(8), subfolder="deep", overwrite="true")
        second, said = await server.run(listener, graph)
        assert said[1]["data"]["nodes"] == []  # changed content is noticed
        assert second.outputs != first.outputs


async def test_masks_can_be_made_and_shown(server: Client) -> None:
    async with server.listen() as listener:
        graph = {
            "1": node("SolidMask", value=0.5, width=32, height=32),
            "2": node("MaskToImage", mask=["1", 0]),
            "3": node("SaveImage", images=["2", 0], filename_prefix=f"mask-{colour()}"),
        }
        entry, _ = await server.run(listener, graph)
        assert entry.status is not None
        assert entry.status.completed


async def test_models_are_listed_by_folder(server: Client) -> None:
    folders = (await server.http.get("/models")).json()
    assert {"checkpoints", "loras", "vae", "embeddings", "controlnet"} <= set(folders)
    assert isinstance((await server.http.get("/models/loras")).json(), list)
    assert isinstance((await server.http.get("/embeddings")).json(), list)
    assert (await server.http.get("/models/nope")).status_code == 404


INPUTS: dict[str, dict[str, Any]] = {
    "EmptyImage": {"width": "INT", "height": "INT", "batch_size": "INT", "color": "INT"},
    "ImageScale": {"image": "IMAGE", "upscale_method": list, "width": "INT", "height": "INT", "crop": list},
    "ImageBlend": {"image1": "IMAGE", "image2": "IMAGE", "blend_factor": "FLOAT", "blend_mode": list},
    "ImagePadForOutpaint": {
        "image": "IMAGE",
        "left": "INT",
        "top": "INT",
        "right": "INT",
        "bottom": "INT",
        "feathering": "INT",
    },
    "LoadImage": {"image": list},
    "SaveImage": {"images": "IMAGE", "filename_prefix": "STRING"},
    "CheckpointLoaderSimple": {"ckpt_name": list},
    "LoraLoader": {
        "model": "MODEL",
        "clip": "CLIP",
        "lora_name": list,
        "strength_model": "FLOAT",
        "strength_clip": "FLOAT",
    },
    "CLIPTextEncode": {"text": "STRING", "clip": "CLIP"},
    "EmptyLatentImage": {"width": "INT", "height": "INT", "batch_size": "INT"},
    "KSampler": {
        "model": "MODEL",
        "seed": "INT",
        "steps": "INT",
        "cfg": "FLOAT",
        "sampler_name": list,
        "scheduler": list,
        "positive": "CONDITIONING",
        "negative": "CONDITIONING",
        "latent_image": "LATENT",
        "denoise": "FLOAT",
    },
    "VAEDecode": {"samples": "LATENT", "vae": "VAE"},
}


@pytest.mark.parametrize("name", INPUTS)
async def test_a_node_class_is_described(server: Client, name: str) -> None:
    classes = decode_classes((await server.http.get(f"/object_info/{name}")).content)
    assert list(classes) == [name]
    declared = classes[name].input["required"]
    assert {key: list if choices(kind) is not None else kind[0] for key, kind in declared.items()} == INPUTS[
        name
    ]
    assert classes[name].output_node == (name == "SaveImage")


async def test_all_node_classes_are_described_at_once(server: Client) -> None:
    classes = decode_classes((await server.http.get("/object_info")).content)
    assert set(INPUTS) <= set(classes)
    assert (await server.http.get("/object_info/NoSuchNode")).json() == {}


async def test_the_server_tells_its_version_and_devices(server: Client) -> None:
    stats = decode_stats((await server.http.get("/system_stats")).content)
    assert stats.system.comfyui_version
    assert stats.devices[0].vram_total > 0
    assert (await server.http.get("/features")).json()["supports_preview_metadata"] is True


async def test_a_foreign_origin_is_refused(server: Client) -> None:
    answer = await server.http.get("/prompt", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403


async def test_unknown_paths_are_404(server: Client) -> None:
    assert (await server.http.get("/api/nope")).status_code == 404
