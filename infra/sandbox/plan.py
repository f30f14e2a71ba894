"""What of a graph has to run, in which order, and what is already known."""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from hashlib import sha1
from typing import Any

from msgspec import json

from infra.sandbox.folders import Folders
from infra.sandbox.node import NodeClass
from workflows.protocol.queue import QueuedPrompt


def is_link(value: Any) -> bool:
    match value:
        case [str(), int()]:
            return True
        case _:
            return False


def _links(graph: dict[str, Any], node: str) -> list[str]:
    inputs = graph[node]["inputs"].values()
    return [value[0] for value in inputs if is_link(value) and value[0] in graph]


def signatures(prompt: QueuedPrompt, nodes: dict[str, NodeClass], folders: Folders) -> dict[str, bytes]:
    """What decides a node's result, for every node the outputs need: its class, inputs, and what they come from."""
    graph = prompt.graph
    needed: dict[str, list[str]] = {}
    waiting = list(prompt.outputs)
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed[node] = _links(graph, node)
            waiting += needed[node]
    known: dict[str, bytes] = {}
    for node in TopologicalSorter(needed).static_order():
        node_class = nodes[graph[node]["class_type"]]
        inputs = {
            name: [known[value[0]].hex(), value[1]] if is_link(value) and value[0] in graph else [value]
            for name, value in graph[node]["inputs"].items()
        }
        mark = _fingerprint(node_class, folders, graph[node]["inputs"])
        known[node] = sha1(json.encode([node_class.name, mark, inputs], order="sorted")).digest()
    return known


def _fingerprint(node_class: NodeClass, folders: Folders, inputs: dict[str, Any]) -> str:
    if node_class.fingerprint is None:
        return ""
    try:
        return node_class.fingerprint(folders, inputs)
    except OSError as error:
        return f"unreadable: {error}"  # told when the node runs


def order(
    prompt: QueuedPrompt, signatures: dict[str, bytes], nodes: dict[str, NodeClass], cached: set[str]
) -> Iterator[str]:
    """Outputs and what they need that is not at hand; outputs as early as they can be."""
    wanted: dict[str, list[str]] = {}
    waiting = list(prompt.outputs)
    while waiting:
        node = waiting.pop()
        if node not in wanted:
            sources = _links(prompt.graph, node) if node not in cached else []
            wanted[node] = [source for source in sources if source in signatures and source not in cached]
            waiting += wanted[node]
    sorter = TopologicalSorter({node: wanted[node] for node in prompt.graph if node in wanted})
    sorter.prepare()
    ready: list[str] = []
    while sorter.is_active():
        ready += sorter.get_ready()
        node = next((node for node in ready if nodes[prompt.graph[node]["class_type"]].shows), ready[0])
        ready.remove(node)
        yield node
        sorter.done(node)
