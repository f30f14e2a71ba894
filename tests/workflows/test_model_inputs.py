"""Which inputs name model files: ComfyUI's own, as its 0.3.64 declares them, and those that a backend tells of."""

from typing import Any

import pytest

from workflows.model_inputs import agreed, folder_of, offering
from workflows.protocol.server import NodeClass

OWN = {
    ("CheckpointLoaderSimple", "ckpt_name"): "checkpoints",
    ("unCLIPCheckpointLoader", "ckpt_name"): "checkpoints",
    ("LoraLoader", "lora_name"): "loras",
    ("CreateHookLora", "lora_name"): "loras",
    ("VAELoader", "vae_name"): "vae",
    ("UNETLoader", "unet_name"): "diffusion_models",
    ("CLIPLoader", "clip_name"): "text_encoders",
    ("DualCLIPLoader", "clip_name1"): "text_encoders",
    ("DualCLIPLoader", "clip_name2"): "text_encoders",
    ("TripleCLIPLoader", "clip_name3"): "text_encoders",
    ("QuadrupleCLIPLoader", "clip_name4"): "text_encoders",
    ("CLIPVisionLoader", "clip_name"): "clip_vision",
    ("ControlNetLoader", "control_net_name"): "controlnet",
    ("StyleModelLoader", "style_model_name"): "style_models",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
    ("ModelPatchLoader", "name"): "model_patches",
    ("GLIGENLoader", "gligen_name"): "gligen",
    ("HypernetworkLoader", "hypernetwork_name"): "hypernetworks",
    ("PhotoMakerLoader", "photomaker_model_name"): "photomaker",
    ("AudioEncoderLoader", "audio_encoder_name"): "audio_encoders",
}
MODELS = {
    "checkpoints": ("a.safetensors", "b.safetensors"),
    "loras": ("a.safetensors", "soft/c.safetensors"),
    "detectors": ("face.pt",),
    "diffusers": ("folder",),
}


@pytest.mark.parametrize(("place", "folder"), OWN.items())
def test_comfyui_s_own_loaders_are_known(place: tuple[str, str], folder: str) -> None:
    assert folder_of(*place) == folder


def told(declared: Any) -> str:
    classes = {"Loader": NodeClass(input={"optional": {"which": declared}})}
    return offering(classes, MODELS).get("Loader", {}).get("which", "")


@pytest.mark.parametrize(
    ("choices", "folder"),
    [
        (["face.pt"], "detectors"),
        (["None", "face.pt"], "detectors"),
        (["a.safetensors", "soft/c.safetensors"], "loras"),
        (["b.safetensors"], "checkpoints"),
        (["a.safetensors"], "checkpoints"),  # of two with such a file one that ComfyUI has, whichever
        (["face.pt", "to_be_downloaded.pt"], ""),
        (["a.safetensors", "face.pt"], ""),
        (["folder", "None"], ""),
        (["euler", "dpmpp_2m"], ""),
        ([], ""),
        ([1, 2], ""),
    ],
)
def test_an_input_that_offers_a_folder_s_files_names_one(choices: list[Any], folder: str) -> None:
    assert told([choices, {"tooltip": "x"}]) == folder
    assert told(["COMBO", {"options": choices}]) == folder


def test_what_is_known_without_asking_is_not_told() -> None:
    loader = NodeClass(input={"required": {"ckpt_name": [["a.safetensors", "b.safetensors"]]}})
    assert offering({"CheckpointLoaderSimple": loader}, MODELS) == {}


def test_where_backends_contradict_each_other_nothing_is_known() -> None:
    one, other = {"Loader": {"a": "loras", "b": "vae"}}, {"Loader": {"a": "checkpoints"}}
    loaders = agreed([one, other, one])
    assert [folder_of("Loader", input, loaders) for input in "ab"] == ["", "vae"]
    assert folder_of("Loader", "ckpt_name", loaders) == "checkpoints"
