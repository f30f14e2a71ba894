"""The nodes that make pictures from pictures."""

from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw

from infra.sandbox.node import Call, Images, Input, NodeClass, Result, Values

METHODS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
BLENDS: dict[str, Callable[[Image.Image, Image.Image], Image.Image]] = {
    "normal": lambda below, above: above,
    "multiply": ImageChops.multiply,
    "screen": ImageChops.screen,
    "overlay": ImageChops.overlay,
    "soft_light": ImageChops.soft_light,
    "difference": ImageChops.difference,
}
GREY = (127, 127, 127)


def side(default: int = 512, least: int = 1, step: int = 1) -> Input:
    return Input("INT", {"default": default, "min": least, "max": 16384, "step": step})


def _empty(call: Call, inputs: Values) -> Result:
    red, green, blue = (
        (int(inputs["color"]) >> 16) & 255,
        (int(inputs["color"]) >> 8) & 255,
        inputs["color"] & 255,
    )
    image = Image.new("RGB", (inputs["width"], inputs["height"]), (red, green, blue))
    return Result(((image,) * inputs["batch_size"],))


def _scaled(image: Image.Image, width: int, height: int, method: str, crop: str) -> Image.Image:
    if crop == "center":
        wide, high = image.width, image.height
        if wide * height > high * width:
            margin = round((wide - high * width / height) / 2)
            image = image.crop((margin, 0, wide - margin, high))
        else:
            margin = round((high - wide * height / width) / 2)
            image = image.crop((0, margin, wide, high - margin))
    return image.resize((width, height), METHODS[method])


def _scale(call: Call, inputs: Values) -> Result:
    images: Images = inputs["image"]
    width, height = inputs["width"], inputs["height"]
    if not width and not height:
        return Result((images,))
    width = width or max(1, round(images[0].width * height / images[0].height))
    height = height or max(1, round(images[0].height * width / images[0].width))
    method, crop = inputs["upscale_method"], inputs["crop"]
    return Result((tuple(_scaled(image, width, height, method, crop) for image in images),))


def _scale_by(call: Call, inputs: Values) -> Result:
    images: Images = inputs["image"]
    width, height = (max(1, round(length * inputs["scale_by"])) for length in images[0].size)
    method = inputs["upscale_method"]
    return Result((tuple(_scaled(image, width, height, method, "disabled") for image in images),))


def _invert(call: Call, inputs: Values) -> Result:
    return Result((tuple(ImageChops.invert(image) for image in inputs["image"]),))


def _blend(call: Call, inputs: Values) -> Result:
    blended = []
    above: Images = inputs["image2"]
    for place, below in enumerate(inputs["image1"]):
        over = above[place % len(above)].resize(below.size, Image.Resampling.BICUBIC)
        mixed = BLENDS[inputs["blend_mode"]](below, over)
        blended.append(Image.blend(below, mixed, inputs["blend_factor"]))
    return Result((tuple(blended),))


def _batch(call: Call, inputs: Values) -> Result:
    first: Images = inputs["image1"]
    width, height = first[0].size
    second = (_scaled(image, width, height, "bilinear", "center") for image in inputs["image2"])
    return Result(((*first, *second),))


def _composite(call: Call, inputs: Values) -> Result:
    above: Images = inputs["source"]
    masks: Images = inputs.get("mask") or ()
    made = []
    for place, below in enumerate(inputs["destination"]):
        over = above[place % len(above)]
        if inputs["resize_source"]:
            over = over.resize(below.size, Image.Resampling.BILINEAR)
        canvas = below.copy()
        mask = masks[place % len(masks)].resize(over.size) if masks else None
        canvas.paste(over, (inputs["x"], inputs["y"]), mask)
        made.append(canvas)
    return Result((tuple(made),))


def _crop(call: Call, inputs: Values) -> Result:
    cropped = []
    for image in inputs["image"]:
        left, top = min(inputs["x"], image.width - 1), min(inputs["y"], image.height - 1)
        right, bottom = min(left + inputs["width"], image.width), min(top + inputs["height"], image.height)
        cropped.append(image.crop((left, top, right, bottom)))
    return Result((tuple(cropped),))


def _pad(call: Call, inputs: Values) -> Result:
    images: Images = inputs["image"]
    left, top, right, bottom = (inputs[name] for name in ("left", "top", "right", "bottom"))
    wide, high = images[0].size
    size = (wide + left + right, high + top + bottom)
    padded = []
    for image in images:
        canvas = Image.new("RGB", size, GREY)
        canvas.paste(image, (left, top))
        padded.append(canvas)
    mask, feather = Image.new("L", size, 255), inputs["feathering"]
    draw = ImageDraw.Draw(mask)
    for inset in range(feather + 1):
        margins = [inset if amount else 0 for amount in (left, top, right, bottom)]
        box = (left + margins[0], top + margins[1], left + wide - margins[2] - 1, top + high - margins[3] - 1)
        if box[0] <= box[2] and box[1] <= box[3]:
            draw.rectangle(box, fill=round(255 * ((feather - inset) / feather) ** 2) if feather else 0)
    return Result((tuple(padded), (mask,)))


def _solid_mask(call: Call, inputs: Values) -> Result:
    return Result(((Image.new("L", (inputs["width"], inputs["height"]), round(inputs["value"] * 255)),),))


def _mask_to_image(call: Call, inputs: Values) -> Result:
    return Result((tuple(mask.convert("RGB") for mask in inputs["mask"]),))


IMAGE = Input("IMAGE")
METHOD = Input(tuple(METHODS))

CLASSES = (
    NodeClass(
        name="EmptyImage",
        run=_empty,
        required={
            "width": side(),
            "height": side(),
            "batch_size": Input("INT", {"default": 1, "min": 1, "max": 4096}),
            "color": Input("INT", {"default": 0, "min": 0, "max": 16777215, "step": 1, "display": "color"}),
        },
        outputs=("IMAGE",),
    ),
    NodeClass(
        name="ImageScale",
        run=_scale,
        required={
            "image": IMAGE,
            "upscale_method": METHOD,
            "width": side(least=0),
            "height": side(least=0),
            "crop": Input(("disabled", "center")),
        },
        outputs=("IMAGE",),
        title="Upscale Image",
        category="image/upscaling",
    ),
    NodeClass(
        name="ImageScaleBy",
        run=_scale_by,
        required={
            "image": IMAGE,
            "upscale_method": METHOD,
            "scale_by": Input("FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}),
        },
        outputs=("IMAGE",),
        title="Upscale Image By",
        category="image/upscaling",
    ),
    NodeClass(
        name="ImageInvert", run=_invert, required={"image": IMAGE}, outputs=("IMAGE",), title="Invert Image"
    ),
    NodeClass(
        name="ImageBlend",
        run=_blend,
        required={
            "image1": IMAGE,
            "image2": IMAGE,
            "blend_factor": Input("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}),
            "blend_mode": Input(tuple(BLENDS), newer_form=True),
        },
        outputs=("IMAGE",),
        category="image/postprocessing",
    ),
    NodeClass(
        name="ImageBatch",
        run=_batch,
        required={"image1": IMAGE, "image2": IMAGE},
        outputs=("IMAGE",),
        title="Batch Images",
    ),
    NodeClass(
        name="ImageCompositeMasked",
        run=_composite,
        required={
            "destination": IMAGE,
            "source": IMAGE,
            "x": side(0, least=0),
            "y": side(0, least=0),
            "resize_source": Input("BOOLEAN", {"default": False}),
        },
        optional={"mask": Input("MASK")},
        outputs=("IMAGE",),
    ),
    NodeClass(
        name="ImageCrop",
        run=_crop,
        required={
            "image": IMAGE,
            "width": side(),
            "height": side(),
            "x": side(0, least=0),
            "y": side(0, least=0),
        },
        outputs=("IMAGE",),
        title="Image Crop",
        category="image/transform",
    ),
    NodeClass(
        name="ImagePadForOutpaint",
        run=_pad,
        required={
            "image": IMAGE,
            "left": side(0, least=0, step=8),
            "top": side(0, least=0, step=8),
            "right": side(0, least=0, step=8),
            "bottom": side(0, least=0, step=8),
            "feathering": side(40, least=0),
        },
        outputs=("IMAGE", "MASK"),
        title="Pad Image for Outpainting",
    ),
    NodeClass(
        name="SolidMask",
        run=_solid_mask,
        required={
            "value": Input("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
            "width": side(),
            "height": side(),
        },
        outputs=("MASK",),
        category="mask",
    ),
    NodeClass(
        name="MaskToImage",
        run=_mask_to_image,
        required={"mask": Input("MASK")},
        outputs=("IMAGE",),
        title="Convert Mask to Image",
        category="mask",
    ),
)
