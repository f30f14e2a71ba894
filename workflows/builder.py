"""From parameters to a graph in API format: the chain that ComfyUI's own examples have.

Checkpoint, LoRAs one after the other, both prompts, a latent (empty, of an image, or of an image under a mask),
sampler, decoder, saved.
"""

from typing import Any, TypeAlias

from workflows.parameters import Parameters

Link: TypeAlias = list[Any]

STANDS = {
    ("CheckpointLoaderSimple", "ckpt_name"): "checkpoint",
    ("LoraLoader", "lora_name"): "loras[{}].name",
    ("LoraLoader", "strength_model"): "loras[{}].strength_model",
    ("LoraLoader", "strength_clip"): "loras[{}].strength_clip",
    ("LoadImage", "image"): "image",
    ("LoadImageMask", "image"): "mask",
    ("SaveImage", "filename_prefix"): "filename_prefix",
}
"""What parameter an input has its value from; those of the sampler and of the latent are called as it is."""
SAME = ("width", "height", "batch_size", "seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
SIDE = 512
DENOISE_OF_IMAGE = 0.75  # enough to change it, little enough to know it again


class _Chain:
    """Nodes by their numbers, in the order they were added."""

    def __init__(self) -> None:
        self.nodes: dict[str, Any] = {}

    def add(self, class_type: str, **inputs: Any) -> str:
        id = str(len(self.nodes) + 1)
        self.nodes[id] = {"class_type": class_type, "inputs": inputs}
        return id


def build(parameters: Parameters) -> dict[str, Any]:
    """The graph. `image` and `mask` stand in it as they were given: whoever submits it resolves them."""
    chain = _Chain()
    loader = chain.add("CheckpointLoaderSimple", ckpt_name=parameters.checkpoint)
    model, clip, vae = [loader, 0], [loader, 1], [loader, 2]
    for lora in parameters.loras:
        clip_strength = lora.strength_model if lora.strength_clip is None else lora.strength_clip
        adapted = chain.add(
            "LoraLoader",
            model=model,
            clip=clip,
            lora_name=lora.name,
            strength_model=lora.strength_model,
            strength_clip=clip_strength,
        )
        model, clip = [adapted, 0], [adapted, 1]
    positive = chain.add("CLIPTextEncode", text=parameters.prompt, clip=clip)
    negative = chain.add("CLIPTextEncode", text=parameters.negative_prompt, clip=clip)
    sampled = chain.add(
        "KSampler",
        model=model,
        positive=[positive, 0],
        negative=[negative, 0],
        latent_image=_latent(chain, parameters, vae),
        seed=parameters.seed,
        steps=parameters.steps,
        cfg=parameters.cfg,
        sampler_name=parameters.sampler_name,
        scheduler=parameters.scheduler,
        denoise=_denoise(parameters),
    )
    decoded = chain.add("VAEDecode", samples=[sampled, 0], vae=vae)
    chain.add("SaveImage", images=[decoded, 0], filename_prefix=parameters.filename_prefix)
    return chain.nodes


def fields(graph: dict[str, Any]) -> dict[str, str]:
    """The parameters' names by the paths in a built graph where their values stand."""
    found, loras = {}, 0
    for id, node in graph.items():
        for input in node["inputs"]:
            name = STANDS.get((node["class_type"], input)) or (input if input in SAME else None)
            if name is not None:
                found[f"graph.{id}.inputs.{input}"] = name.format(loras)
        loras += node["class_type"] == "LoraLoader"
    return found


def _latent(chain: _Chain, parameters: Parameters, vae: Link) -> Link:
    if parameters.image is None:
        return _empty(chain, parameters)
    pixels: Link = [chain.add("LoadImage", image=parameters.image), 0]
    if parameters.width is not None and parameters.height is not None:
        size = {"width": parameters.width, "height": parameters.height}
        pixels = [
            chain.add("ImageScale", image=pixels, upscale_method="lanczos", crop="center", **size),
            0,
        ]
    if parameters.mask is None:
        latent = [chain.add("VAEEncode", pixels=pixels, vae=vae), 0]
    else:
        mask = [chain.add("LoadImageMask", image=parameters.mask, channel="red"), 0]
        encoded = chain.add(
            "VAEEncodeForInpaint", pixels=pixels, vae=vae, mask=mask, grow_mask_by=parameters.grow_mask
        )
        latent = [encoded, 0]
    if parameters.batch_size == 1:
        return latent
    return [chain.add("RepeatLatentBatch", samples=latent, amount=parameters.batch_size), 0]


def _empty(chain: _Chain, parameters: Parameters) -> Link:
    latent = chain.add(
        "EmptyLatentImage",
        width=parameters.width or SIDE,
        height=parameters.height or SIDE,
        batch_size=parameters.batch_size,
    )
    return [latent, 0]


def _denoise(parameters: Parameters) -> float:
    if parameters.denoise is not None:
        return parameters.denoise
    return 1.0 if parameters.image is None or parameters.mask is not None else DENOISE_OF_IMAGE
