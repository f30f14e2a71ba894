"""The model files that a graph names, and which of the models that administrators speak of are meant.

Loaders say in which folder they look. Any other text in a graph, but for what people write, may be a file's name as
well: nodes that others have made take models by inputs that nobody here knows.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct

from domain.model import Model
from workflows.gate import FREE_TEXT
from workflows.graph import LORAS, MAX_MODEL_NAME, Graph, is_link
from workflows.loras import references
from workflows.model_inputs import FOLDERS, Loaders, folder_of
from workflows.texts import texts

Restricted: TypeAlias = Mapping[str, tuple[Model, ...]]
"""Those that not everybody may use, by their plain names."""

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


def named_models(nodes: Graph, loaders: Loaders | None = None) -> Iterator[NamedModel]:
    """In the order of the graph. `loaders`: what backends tell of nodes that nobody here knows."""
    graph = {id: {"inputs": node.inputs} for id, node in nodes.items()}
    loras = {(each.node, each.input): each.name for each in references(graph)}
    for id, node in nodes.items():
        for name, value in node.inputs.items():
            if (lora := loras.get((id, name))) is not None:
                yield NamedModel(id, name, LORA_FOLDER, lora)
            elif isinstance(value, str) and (folder := folder_of(node.class_type, name, loaders)):
                yield NamedModel(id, name, folder, value)
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


def based(models: Iterable[Model]) -> dict[str, str]:
    """What is said that models were made from, by their types and plain names."""
    return {
        f"{each.type}/{plain(each.name)}": each.about.base_model for each in models if each.about.base_model
    }


def meant(named: NamedModel, among: Restricted) -> tuple[Model, ...]:
    """The restricted ones that it may stand for; those in folders that are not ComfyUI's may be anywhere."""
    return tuple(
        model
        for model in among.get(plain(named.name), ())
        if not named.folder or model.type == named.folder or model.type not in FOLDERS
    )
