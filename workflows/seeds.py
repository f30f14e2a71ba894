"""The seeds of a graph: the inputs by which samplers are told which noise to begin with."""

from typing import Any

SEED_INPUTS = ("seed", "noise_seed")


def seeds(graph: dict[str, Any]) -> list[int]:
    """Those that stand in it, by the order of its nodes."""
    return [
        node["inputs"][name]
        for node in graph.values()
        for name in SEED_INPUTS
        if isinstance(node["inputs"].get(name), int) and not isinstance(node["inputs"][name], bool)
    ]


def with_seed(graph: dict[str, Any], seed: int) -> dict[str, Any] | None:
    """The graph with every seed set; a linked one comes from elsewhere and stays. None: it has no seed."""
    found = False
    nodes: dict[str, Any] = {}
    for id, node in graph.items():
        own = {
            name: seed
            for name in SEED_INPUTS
            if isinstance(node["inputs"].get(name), int) and not isinstance(node["inputs"][name], bool)
        }
        found = found or bool(own)
        nodes[id] = node | {"inputs": node["inputs"] | own}
    return nodes if found else None
