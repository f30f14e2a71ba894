"""Workflows as the editor saves them, drawn in a few words."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from tests.workflows.editor.recorded import definitions
from workflows.editor.widgets import slots_of

INSIDE, OUTSIDE = -10, -20


class Output:
    def __init__(self, node: "Drawn", slot: int, type: str) -> None:
        self.node, self.slot, self.type = node, slot, type


class Drawn:
    def __init__(self, saved: dict[str, Any]) -> None:
        self.saved = saved

    def __getitem__(self, slot: int) -> Output:
        outputs = self.saved["outputs"]
        return Output(self, slot, outputs[slot]["type"] if slot < len(outputs) else "*")


class Drawing:
    """A level: the workflow, or a subgraph where it has an `id`."""

    def __init__(self, ids: Iterator[int] | None = None, *, id: str = "", name: str = "") -> None:
        self.id, self.name = id, name
        self.nodes: list[dict[str, Any]] = []
        self.links: list[dict[str, Any]] = []
        self.subgraphs: list[Drawing] = []
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []
        self._ids = ids or count(1)

    def add(
        self, type: str, *values: Any, mode: int = 0, title: str = "", more: Any = None, **wired: Output
    ) -> Drawn:
        """`values`: of its widgets. `more`: what else is saved of it."""
        definition = definitions().get(type)
        inside = next((each for each in self.subgraphs if each.id == type), None)
        saved: dict[str, Any] = {"id": next(self._ids), "type": type, "pos": [0, 0], "size": [200, 100]}
        saved |= {"flags": {}, "order": 0, "mode": mode, "inputs": [], "outputs": [], "properties": {}}
        if values:
            saved["widgets_values"] = list(values)
        if title:
            saved["title"] = title
        node = Drawn(saved)
        if definition is not None:
            saved["outputs"] = [{"name": each, "type": each, "links": []} for each in definition.outputs]
            for slot in slots_of(type, definition):
                if slot.widget is None or slot.name in wired:
                    self._input(node, slot.name, slot.type, slot.widget, wired.get(slot.name))
        elif inside is not None:
            saved["outputs"] = [{"name": e["name"], "type": e["type"], "links": []} for e in inside.outputs]
            for border in inside.inputs:
                self._input(node, border["name"], border["type"], None, wired.get(border["name"]))
        elif type == "Reroute":
            source = wired.get("source")
            saved["outputs"] = [{"name": "", "type": source.type if source else "*", "links": []}]
            self._input(node, "", "*", None, source)
        elif type == "PrimitiveNode":
            saved["outputs"] = [{"name": "INT", "type": "INT", "links": [], "widget": {"name": "value"}}]
        saved |= more or {}
        self.nodes.append(saved)
        return node

    def wire(self, output: Output, node: Drawn, name: str) -> None:
        """Afterwards, to an input that was saved."""
        at = next(i for i, each in enumerate(node.saved["inputs"]) if each["name"] == name)
        self._link(output, node.saved["id"], at, node.saved["inputs"][at])

    def enters(self, name: str, type: str, *targets: tuple[Drawn, str]) -> None:
        """A wire from outside."""
        border: dict[str, Any] = {"id": f"{self.id[:-4]}{len(self.inputs):04}", "name": name, "type": type}
        self.inputs.append(border | {"linkIds": []})
        source = Output(Drawn({"id": INSIDE, "outputs": []}), len(self.inputs) - 1, type)
        for node, input in targets:
            inputs = node.saved["inputs"]
            if not any(each["name"] == input for each in inputs):
                self._input(node, input, type, input, None)
            at = next(i for i, each in enumerate(inputs) if each["name"] == input)
            self.inputs[-1]["linkIds"].append(self._link(source, node.saved["id"], at, inputs[at]))

    def leaves(self, name: str, output: Output) -> None:
        """A wire to the outside."""
        border = {"id": f"{self.id[:-4]}1{len(self.outputs):03}", "name": name, "type": output.type}
        self.outputs.append(border | {"linkIds": [self._link(output, OUTSIDE, len(self.outputs), {})]})

    def subgraph(self, name: str) -> "Drawing":
        """One that this level's nodes can be of, by its id."""
        id = f"{len(self.subgraphs) + 1:08}-0000-4000-8000-000000000000"
        self.subgraphs.append(Drawing(self._ids, id=id, name=name))
        return self.subgraphs[-1]

    def saved(self, version: float = 0.4) -> dict[str, Any]:
        links: list[Any] = [list(each.values()) for each in self.links] if version == 0.4 else self.links
        graph: dict[str, Any] = {"last_node_id": 1000, "last_link_id": 1000, "nodes": self.nodes}
        if version != 0.4:
            graph["state"] = {"lastNodeId": 1000, "lastLinkId": 1000, "lastGroupId": 0, "lastRerouteId": 0}
        graph |= {"links": links, "groups": [], "config": {}, "extra": {}, "version": version}
        if self.subgraphs:
            graph["definitions"] = {"subgraphs": [each._definition() for each in self.subgraphs]}
        return graph

    def _definition(self) -> dict[str, Any]:
        border = {"bounding": [0, 0, 100, 100]}
        state = {"lastNodeId": 1000, "lastLinkId": 1000, "lastGroupId": 0, "lastRerouteId": 0}
        return {
            **{"id": self.id, "version": 1, "revision": 0, "config": {}, "name": self.name, "state": state},
            **{"inputNode": border | {"id": INSIDE}, "outputNode": border | {"id": OUTSIDE}},
            **{"inputs": self.inputs, "outputs": self.outputs, "widgets": [], "nodes": self.nodes},
            **{"groups": [], "links": self.links, "extra": {}},
        }

    def _input(self, node: Drawn, name: str, type: str, widget: str | None, source: Output | None) -> None:
        slot: dict[str, Any] = {"name": name, "type": type, "link": None}
        if widget is not None:
            slot["widget"] = {"name": widget}
        node.saved["inputs"].append(slot)
        if source is not None:
            self._link(source, node.saved["id"], len(node.saved["inputs"]) - 1, slot)

    def _link(self, source: Output, target: int, at: int, slot: dict[str, Any]) -> int:
        origin = source.node.saved
        link = {"id": len(self.links) + 1, "origin_id": origin["id"], "origin_slot": source.slot}
        link |= {"target_id": target, "target_slot": at, "type": source.type}
        self.links.append(link)
        slot["link"] = link["id"]
        if source.slot < len(origin["outputs"]):
            origin["outputs"][source.slot]["links"].append(link["id"])
        return int(link["id"])
