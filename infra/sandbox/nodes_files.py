"""The nodes that read and write files: LoadImage, SaveImage, PreviewImage."""

import json
import secrets
from datetime import datetime
from typing import Any

from PIL import Image, ImageChops, ImageOps, PngImagePlugin

from infra.sandbox.folders import Folders, OutsideError
from infra.sandbox.node import Call, Images, Input, NodeClass, Result, Values, file_fingerprint


class UnsafePrefixError(Exception):
    """A file name prefix that leads out of the output folder; found only while running, as in the original."""


def _load(call: Call, inputs: Values) -> Result:
    with Image.open(call.folders.annotated(inputs["image"])) as opened:
        image = ImageOps.exif_transpose(opened)
        alpha = image.getchannel("A") if "A" in image.getbands() else Image.new("L", (64, 64), 255)
        return Result(((image.convert("RGB"),), (ImageChops.invert(alpha),)))


def _load_mask(call: Call, inputs: Values) -> Result:
    """One channel as it is, but for alpha: what cannot be seen is masked."""
    with Image.open(call.folders.annotated(inputs["image"])) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGBA")
    channel = image.getchannel(inputs["channel"][0].upper())
    return Result(((ImageChops.invert(channel) if inputs["channel"] == "alpha" else channel,),))


def _check_exists(folders: Folders, name: Any) -> str | None:
    """Only that the path exists, wherever it leads: the original checks no more."""
    return None if folders.annotated(str(name)).exists() else f"Invalid image file: {name}"


def _fill(prefix: str, image: Image.Image) -> str:
    if "%" not in prefix:
        return prefix
    now = datetime.now().astimezone()
    known = {"width": str(image.width), "height": str(image.height), "year": str(now.year)}
    known |= {name: f"{getattr(now, name):02}" for name in ("month", "day", "hour", "minute", "second")}
    for name, value in known.items():
        prefix = prefix.replace(f"%{name}%", value)
    return prefix


def _write(call: Call, images: Images, kind: str, prefix: str, compression: int) -> Result:
    root = call.folders.root(kind)
    filled = _fill(prefix, images[0])
    name = filled.rpartition("/")[2]
    try:
        place = call.folders.inside(kind, filled.rpartition("/")[0])
    except OutsideError as error:
        raise UnsafePrefixError(f"Saving outside the output folder is not allowed: {error}") from error
    if not place.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    subfolder = "" if place == root else str(place.relative_to(root))
    texts = PngImagePlugin.PngInfo()
    for key, value in ({"prompt": call.graph} | call.png_texts).items():
        texts.add_text(key, json.dumps(value))
    written = []
    counter = call.folders.next_counter(place, name)
    for number, image in enumerate(images):
        stem = name.replace("%batch_num%", str(number))
        filename = f"{stem}_{counter + number:05}_.png"
        image.save(place / filename, pnginfo=texts, compress_level=compression)
        call.folders.counted(place, stem, counter + number)
        written.append({"filename": filename, "subfolder": subfolder, "type": kind})
    return Result((), {"images": written})


def _save(call: Call, inputs: Values) -> Result:
    return _write(call, inputs["images"], "output", inputs["filename_prefix"], 4)


def _preview(call: Call, inputs: Values) -> Result:
    suffix = "".join(secrets.choice("abcdefghijklmnopqrstupvxyz") for _ in range(5))
    return _write(call, inputs["images"], "temp", f"ComfyUI_temp_{suffix}", 1)


CLASSES = (
    NodeClass(
        name="LoadImage",
        run=_load,
        required={"image": Input(Folders.input_images, {"image_upload": True})},
        outputs=("IMAGE", "MASK"),
        title="Load Image",
        check=("image", _check_exists),
        fingerprint=lambda folders, inputs: file_fingerprint(folders.annotated(inputs["image"])),
    ),
    NodeClass(
        name="LoadImageMask",
        run=_load_mask,
        required={
            "image": Input(Folders.input_images, {"image_upload": True}),
            "channel": Input(("alpha", "red", "green", "blue")),
        },
        outputs=("MASK",),
        title="Load Image (as Mask)",
        check=("image", _check_exists),
        fingerprint=lambda folders, inputs: file_fingerprint(folders.annotated(inputs["image"])),
    ),
    NodeClass(
        name="SaveImage",
        run=_save,
        required={
            "images": Input("IMAGE", {"tooltip": "What is saved."}),
            "filename_prefix": Input("STRING", {"default": "ComfyUI"}),
        },
        shows=True,
        title="Save Image",
    ),
    NodeClass(
        name="PreviewImage",
        run=_preview,
        required={"images": Input("IMAGE")},
        shows=True,
        title="Preview Image",
    ),
)
