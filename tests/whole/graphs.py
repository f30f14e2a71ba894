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


def failing(message: str) -> Graph:
    return {
        "1": empty(),
        "2": node("SandboxFail", message=message, image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix="never"),
    }
