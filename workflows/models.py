"""The model files that a graph names, and which of the models that administrators speak of are meant.

ComfyUI's own loaders say in which folder they look. Any other text in a graph, but for what people write, may be a
file's name as well: nodes that others have made take models by inputs that nobody here knows.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct

from domain.model import Model
from workflows.gate import FREE_TEXT
from workflows.graph import LORAS, MAX_MODEL_NAME, MODEL_INPUTS, Graph, is_link
from workflows.loras import references
from workflows.texts import texts

Restricted: TypeAlias = Mapping[str, tuple[Model, ...]]
"""Those that not everybody may use, by their plain names."""

FOLDERS = frozenset(MODEL_INPUTS.values())
LORA_FOLDER = LORAS.rstrip("/")


class NamedModel(Struct, frozen=True):
    """Where a graph may name a model. `folder`: in which it is looked for; empty: in any."""

    node: str
    input: str
    folder: str
    name: str

    @property
    def requirement(self) -> str:
        """As requirements name it; empty where its folder is not known."""
        return f"{self.folder}/{self.name[:MAX_MODEL_NAME]}" if self.folder else ""


def named_models(nodes: Graph) -> Iterator[NamedModel]:
    """In the order of the graph."""
    graph = {id: {"inputs": node.inputs} for id, node in nodes.items()}
    loras = {(each.node, each.input): each.name for each in references(graph)}
    for id, node in nodes.items():
        for name, value in node.inputs.items():
            if (lora := loras.get((id, name))) is not None:
                yield NamedModel(id, name, LORA_FOLDER, lora)
            elif name in MODEL_INPUTS and isinstance(value, str):
                yield NamedModel(id, name, MODEL_INPUTS[name], value)
            elif name not in FREE_TEXT and not is_link(value):
                for text in texts(value):
                    yield NamedModel(id, name, "", text)


def plain(name: str) -> str:
    """The same for all ways to write a file's name, on whatever system the backend runs."""
    return posixpath.normpath(name.replace("\\", "/").strip()).casefold()


def restricted(models: Iterable[Model]) -> Restricted:
    found: dict[str, tuple[Model, ...]] = {}
    for model in models:
        if model.restricted:
            key = plain(model.name)
            found[key] = (*found.get(key, ()), model)
    return found


def meant(named: NamedModel, among: Restricted) -> tuple[Model, ...]:
    """The restricted ones that it may stand for; those in folders that MODEL_INPUTS does not know may be anywhere."""
    return tuple(
        model
        for model in among.get(plain(named.name), ())
        if not named.folder or model.type == named.folder or model.type not in FOLDERS
    )
