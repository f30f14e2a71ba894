"""Samplers without a model: the chain runs, and what comes out is a labelled placeholder.

The picture is determined by the inputs: same seed, prompt and models, same pixels.
"""

from hashlib import sha256

from msgspec import Struct
from PIL import Image, ImageDraw, ImageFilter

from infra.sandbox.folders import Folders
from infra.sandbox.model_file import check_model_file
from infra.sandbox.node import Call, Images, Input, NodeClass, Result, Values

SAMPLERS = [
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "gradient_estimation",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
]
SCHEDULERS = [
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
]
SEED_MAX = 2**64 - 1


class Model(Struct, frozen=True):
    """MODEL, CLIP and VAE alike: which files went into it."""

    checkpoint: str
    loras: tuple[str, ...] = ()


class Conditioning(Struct, frozen=True):
    text: str
    model: Model


class Latent(Struct, frozen=True, kw_only=True):
    """`recipe` says how it came about, and is all that decides the picture."""

    width: int
    height: int
    batch: int
    recipe: tuple[str, ...] = ()


def _checkpoint(call: Call, inputs: Values) -> Result:
    check_model_file(call.folders.model_path("checkpoints", inputs["ckpt_name"]))
    model = Model(inputs["ckpt_name"])
    return Result((model, model, model))


def _lora(call: Call, inputs: Values) -> Result:
    path = call.folders.model_path("loras", inputs["lora_name"])
    check_model_file(path)
    strengths = inputs["strength_model"], inputs["strength_clip"]
    if strengths == (0, 0):
        return Result((inputs["model"], inputs["clip"]))
    named = f"{inputs['lora_name']} {strengths[0]:g}/{strengths[1]:g}"

    def with_lora(model: Model) -> Model:
        return Model(model.checkpoint, (*model.loras, named))

    return Result((with_lora(inputs["model"]), with_lora(inputs["clip"])))


def _lora_model_only(call: Call, inputs: Values) -> Result:
    loaded = _lora(call, inputs | {"clip": inputs["model"], "strength_clip": 0})
    return Result(loaded.values[:1])


def _encode_text(call: Call, inputs: Values) -> Result:
    return Result((Conditioning(inputs["text"], inputs["clip"]),))


def _empty_latent(call: Call, inputs: Values) -> Result:
    latent = Latent(width=inputs["width"], height=inputs["height"], batch=inputs["batch_size"])
    return Result((latent,))


def _sample(call: Call, inputs: Values) -> Result:
    latent: Latent = inputs["latent_image"]
    positive: Conditioning = inputs["positive"]
    negative: Conditioning = inputs["negative"]
    model: Model = inputs["model"]
    steps = inputs["steps"]
    recipe = (
        positive.text,
        f"without: {negative.text}" if negative.text else "",
        f"seed {inputs['seed']}  steps {steps}  cfg {inputs['cfg']:g}  denoise {inputs['denoise']:g}",
        f"{inputs['sampler_name']} / {inputs['scheduler']}",
        model.checkpoint,
        *model.loras,
    )
    sampled = Latent(
        width=latent.width,
        height=latent.height,
        batch=latent.batch,
        recipe=(*latent.recipe, *filter(None, recipe)),
    )
    for step in range(1, steps + 1):
        shown = call.preview_every and step % call.preview_every == 0
        call.progress(step, steps, _backdrop(sampled, 0, step / steps, 128) if shown else None)
    return Result((sampled,))


def _decode(call: Call, inputs: Values) -> Result:
    latent: Latent = inputs["samples"]
    return Result((tuple(_picture(latent, number) for number in range(latent.batch)),))


def _encode(call: Call, inputs: Values) -> Result:
    images: Images = inputs["pixels"]
    digest = sha256(b"".join(image.tobytes() for image in images)).hexdigest()
    width, height = images[0].size
    return Result((Latent(width=width, height=height, batch=len(images), recipe=(f"from {digest[:16]}",)),))


def _encode_for_inpaint(call: Call, inputs: Values) -> Result:
    (latent,) = _encode(call, inputs).values
    mask = inputs["mask"][0].resize((latent.width, latent.height))
    if inputs["grow_mask_by"] > 1:
        mask = mask.filter(ImageFilter.MaxFilter(inputs["grow_mask_by"] // 2 * 2 + 1))
    under = f"under {sha256(mask.tobytes()).hexdigest()[:16]}"
    return Result(
        (
            Latent(
                width=latent.width, height=latent.height, batch=latent.batch, recipe=(*latent.recipe, under)
            ),
        )
    )


def _repeat(call: Call, inputs: Values) -> Result:
    latent: Latent = inputs["samples"]
    batch = latent.batch * inputs["amount"]
    return Result((Latent(width=latent.width, height=latent.height, batch=batch, recipe=latent.recipe),))


def _backdrop(latent: Latent, number: int, progress: float, longest: int) -> Image.Image:
    """Four colours out of the recipe's digest, blurred into one another; paler while unfinished."""
    digest = sha256(repr((latent.recipe, number)).encode()).digest()
    corners = Image.frombytes("RGB", (2, 2), bytes(round(255 - (255 - b) * progress) for b in digest[:12]))
    scale = min(1.0, longest / max(latent.width, latent.height))
    size = max(1, round(latent.width * scale)), max(1, round(latent.height * scale))
    return corners.resize(size, Image.Resampling.BICUBIC)


def _picture(latent: Latent, number: int) -> Image.Image:
    image = _backdrop(latent, number, 1.0, max(latent.width, latent.height))
    draw = ImageDraw.Draw(image)
    lines = ["SANDBOX: no model was run", *latent.recipe]
    columns = max(8, latent.width // 7)
    wrapped = [line[at : at + columns] for line in lines for at in range(0, max(1, len(line)), columns)]
    for row, line in enumerate(wrapped[: max(1, latent.height // 14)]):
        readable = line.encode("latin-1", "replace").decode("latin-1")  # the built-in font knows no more
        draw.text((5, 4 + 14 * row), readable, fill="black")
        draw.text((4, 3 + 14 * row), readable, fill="white")
    return image


def _models(folder: str) -> Input:
    def listed(folders: Folders) -> list[str]:
        return folders.models(folder) or []

    return Input(listed, {"tooltip": "The file to load."})


STRENGTH = Input("FLOAT", {"default": 1.0, "min": -100.0, "max": 100.0, "step": 0.01})
LATENT_SIDE = Input("INT", {"default": 512, "min": 16, "max": 16384, "step": 8})

CLASSES = (
    NodeClass(
        name="CheckpointLoaderSimple",
        run=_checkpoint,
        required={"ckpt_name": _models("checkpoints")},
        outputs=("MODEL", "CLIP", "VAE"),
        title="Load Checkpoint",
        category="loaders",
    ),
    NodeClass(
        name="LoraLoader",
        run=_lora,
        required={
            "model": Input("MODEL"),
            "clip": Input("CLIP"),
            "lora_name": _models("loras"),
            "strength_model": STRENGTH,
            "strength_clip": STRENGTH,
        },
        outputs=("MODEL", "CLIP"),
        title="Load LoRA",
        category="loaders",
    ),
    NodeClass(
        name="LoraLoaderModelOnly",
        run=_lora_model_only,
        required={
            "model": Input("MODEL"),
            "lora_name": _models("loras"),
            "strength_model": STRENGTH,
        },
        outputs=("MODEL",),
        title="LoraLoaderModelOnly",
        category="loaders",
    ),
    NodeClass(
        name="CLIPTextEncode",
        run=_encode_text,
        required={
            "text": Input("STRING", {"multiline": True, "dynamicPrompts": True}),
            "clip": Input("CLIP"),
        },
        outputs=("CONDITIONING",),
        title="CLIP Text Encode (Prompt)",
        category="conditioning",
    ),
    NodeClass(
        name="EmptyLatentImage",
        run=_empty_latent,
        required={
            "width": LATENT_SIDE,
            "height": LATENT_SIDE,
            "batch_size": Input("INT", {"default": 1, "min": 1, "max": 4096}),
        },
        outputs=("LATENT",),
        title="Empty Latent Image",
        category="latent",
    ),
    NodeClass(
        name="KSampler",
        run=_sample,
        required={
            "model": Input("MODEL"),
            "seed": Input("INT", {"default": 0, "min": 0, "max": SEED_MAX, "control_after_generate": True}),
            "steps": Input("INT", {"default": 20, "min": 1, "max": 10000}),
            "cfg": Input("FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01}),
            "sampler_name": Input(tuple(SAMPLERS)),
            "scheduler": Input(tuple(SCHEDULERS)),
            "positive": Input("CONDITIONING"),
            "negative": Input("CONDITIONING"),
            "latent_image": Input("LATENT"),
            "denoise": Input("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
        },
        outputs=("LATENT",),
        category="sampling",
    ),
    NodeClass(
        name="VAEDecode",
        run=_decode,
        required={"samples": Input("LATENT"), "vae": Input("VAE")},
        outputs=("IMAGE",),
        title="VAE Decode",
        category="latent",
    ),
    NodeClass(
        name="VAEEncode",
        run=_encode,
        required={"pixels": Input("IMAGE"), "vae": Input("VAE")},
        outputs=("LATENT",),
        title="VAE Encode",
        category="latent",
    ),
    NodeClass(
        name="VAEEncodeForInpaint",
        run=_encode_for_inpaint,
        required={
            "pixels": Input("IMAGE"),
            "vae": Input("VAE"),
            "mask": Input("MASK"),
            "grow_mask_by": Input("INT", {"default": 6, "min": 0, "max": 64, "step": 1}),
        },
        outputs=("LATENT",),
        title="VAE Encode (for Inpainting)",
        category="latent/inpaint",
    ),
    NodeClass(
        name="RepeatLatentBatch",
        run=_repeat,
        required={
            "samples": Input("LATENT"),
            "amount": Input("INT", {"default": 1, "min": 1, "max": 64}),
        },
        outputs=("LATENT",),
        title="Repeat Latent Batch",
        category="latent/batch",
    ),
)
