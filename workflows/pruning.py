"""A graph without what its outputs do not need."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from workflows.graph import is_link


def pruned(graph: Mapping[str, Any], outputs: Collection[str]) -> dict[str, Any]:
    """These nodes, and all that they come from."""
    needed: set[str] = set()
    ahead = [node for node in outputs if node in graph]
    while ahead:
        node = ahead.pop()
        if node in needed:
            continue
        needed.add(node)
        for value in _inputs(graph[node]):
            if is_link(value) and value[0] in graph:
                ahead.append(value[0])
    return {node: told for node, told in graph.items() if node in needed}


def _inputs(node: Any) -> Iterable[Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs.values() if isinstance(inputs, dict) else ()
