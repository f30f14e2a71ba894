"""Which inputs of node classes name model files, and in which folder those are looked for.

Of ComfyUI's own loaders it is known. Of others a backend tells: an input that offers a folder's files names one.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from workflows.protocol.server import NodeClass, choices

Loaders: TypeAlias = Mapping[str, Mapping[str, str]]
"""Of node classes, by the names of their inputs: the models folder that each names a file of."""

BY_INPUT = {
    "ckpt_name": "checkpoints",
    "lora_name": "loras",
    "vae_name": "vae",
    "control_net_name": "controlnet",
    "unet_name": "diffusion_models",
    "clip_name": "text_encoders",
    "clip_name1": "text_encoders",
    "clip_name2": "text_encoders",
    "clip_name3": "text_encoders",
    "clip_name4": "text_encoders",
    "style_model_name": "style_models",
    "upscale_model_name": "upscale_models",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "photomaker_model_name": "photomaker",
    "audio_encoder_name": "audio_encoders",
}
"""Whatever the class: nodes that others have made call them so as well."""
BY_CLASS = {
    ("CLIPVisionLoader", "clip_name"): "clip_vision",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
    ("ModelPatchLoader", "name"): "model_patches",
}
"""Where the name alone says too little."""
FOLDERS = frozenset(BY_INPUT.values()) | frozenset(BY_CLASS.values())

_FILE = re.compile(r"\.[A-Za-z0-9]{1,12}$")


def folder_of(node_class: str, input: str, loaders: Loaders | None = None) -> str:
    """Empty where it names no model, as far as anybody knows."""
    if known := BY_CLASS.get((node_class, input)):
        return known
    told = (loaders or {}).get(node_class, {}).get(input)
    return told or BY_INPUT.get(input, "")


def offering(
    classes: Mapping[str, NodeClass], models: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, str]]:
    """The inputs of these classes that offer files of one of the folders, beyond what is known without asking.

    Whatever looks like a file among the choices must be one of that folder. What an input offers while its folder is
    empty tells nothing.
    """
    places: dict[str, set[str]] = {}
    for folder, names in models.items():
        for name in names:
            places.setdefault(name, set()).add(folder)
    found: dict[str, dict[str, str]] = {}
    for name, node in classes.items():
        for group in ("required", "optional"):
            for input, declared in node.input.get(group, {}).items():
                folder = _offered(choices(declared) or (), places, models)
                if folder and folder != folder_of(name, input):
                    found.setdefault(name, {})[input] = folder
    return found


def agreed(told: Iterable[Loaders]) -> dict[str, dict[str, str]]:
    """What several backends say of the same classes; where they contradict each other, nothing."""
    found: dict[str, dict[str, str]] = {}
    for loaders in told:
        for node_class, inputs in loaders.items():
            known = found.setdefault(node_class, {})
            for input, folder in inputs.items():
                known[input] = folder if known.get(input, folder) == folder else ""
    return found


def _offered(
    offered: Iterable[object], places: Mapping[str, set[str]], models: Mapping[str, tuple[str, ...]]
) -> str:
    """Of several folders with these files the one with the fewest others, first one of those that ComfyUI has."""
    files = [each for each in offered if isinstance(each, str) and _FILE.search(each)]
    if not files or files[0] not in places:
        return ""
    fitting = set.intersection(*(places.get(each, set()) for each in files))
    return min(fitting, key=lambda folder: (len(models[folder]), folder not in FOLDERS, folder), default="")
