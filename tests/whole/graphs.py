"""Graphs whose length and outputs are known."""

from typing import Any

from tests.whole.people import Graph

THREE = {("3", 0), ("4", 0), ("4", 1)}
"""The outputs of `pictures`: node and place."""


def node(name: str, **inputs: Any) -> Graph:
    return {"class_type": name, "inputs": inputs}


def empty(color: int = 0x2E5AAC, batch: int = 1, side: int = 64) -> Graph:
    return node("EmptyImage", width=side, height=side, batch_size=batch, color=color)


def sleep(seconds: float, image: str) -> Graph:
    """Never taken from ComfyUI's cache: the product makes every name of a file unlike any other."""
    steps = max(10, int(seconds * 10))
    return node("SandboxSleep", seconds=seconds, steps=steps, image=[image, 0], filename_prefix="awake")


def pictures(seconds: float = 0.2) -> Graph:
    """One picture before it sleeps, a batch of two after."""
    return {
        "1": empty(batch=2),
        "5": empty(0xF2A65A),
        "3": node("SaveImage", images=["5", 0], filename_prefix="first"),
        "2": sleep(seconds, "1"),
        "4": node("SaveImage", images=["2", 0], filename_prefix="batch"),
    }


def sleeping(seconds: float) -> Graph:
    return {
        "1": empty(),
        "2": sleep(seconds, "1"),
        "3": node("SaveImage", images=["2", 0], filename_prefix="slept"),
    }


def sampled(seed: int, steps: int = 20) -> Graph:
    """A picture of which previews are shown while it is made."""
    given = {"seed": seed, "steps": steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal"}
    links = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0]}
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="sandbox.safetensors"),
        "2": node("CLIPTextEncode", text="cat", clip=["1", 1]),
        "3": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "4": node("KSampler", denoise=1.0, **given, **links),
        "5": node("VAEDecode", samples=["4", 0], vae=["1", 2]),
        "6": node("SaveImage", images=["5", 0], filename_prefix="sampled"),
    }


def failing(message: str) -> Graph:
    return {
        "1": empty(),
        "2": node("SandboxFail", message=message, image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix="never"),
    }
