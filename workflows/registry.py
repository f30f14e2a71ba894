"""The templates that come with the program, and those that whoever operates it keeps in a folder: two files for each.

`sd15/text_to_image.form.json` beside `sd15/text_to_image.graph.json` is the template `sd15_text_to_image`. Either may
be YAML instead.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from domain.ids import Digest
from domain.refusals import Invalid
from workflows.form_faults import check
from workflows.forms import Form, Template
from workflows.reading import read

SHIPPED = Path(__file__).with_name("templates")
ID = re.compile(r"[a-z][a-z0-9_]{0,99}")
READERS: dict[str, Callable[[bytes], Any]] = {
    ".json": msgspec.json.decode,
    ".yaml": msgspec.yaml.decode,
    ".yml": msgspec.yaml.decode,
}
FORM, GRAPH = ".form", ".graph"

_decode = msgspec.json.Decoder(Template).decode


class TemplatesError(Exception):
    """Templates that cannot be offered; the message has a line for each fault."""


class Entry(Struct, frozen=True):
    """`body`: the template as one document, as it is kept beside the log for each run that is made from it."""

    id: str
    template: Template
    body: bytes

    @property
    def digest(self) -> Digest:
        return Digest(sha256(self.body).hexdigest())


class Registry:
    """Found by id, and listed in the order of their ids."""

    def __init__(self, templates: Mapping[str, Template] | None = None) -> None:
        self._entries = {
            id: Entry(id, template, written(template)) for id, template in sorted((templates or {}).items())
        }

    def get(self, id: str) -> Entry | None:
        return self._entries.get(id)

    def listed(
        self, category: str | None = None, family: str | None = None, text: str | None = None
    ) -> Iterator[Entry]:
        """`text`: words that all stand in its id, name or description."""
        words = (text or "").casefold().split()
        for entry in self._entries.values():
            form = entry.template.form
            about = f"{entry.id} {form.name} {form.description}".casefold()
            if (
                category in (None, form.category)
                and family in (None, form.model_family)
                and all(word in about for word in words)
            ):
                yield entry


def written(template: Template) -> bytes:
    return msgspec.json.encode(template)


def read_template(body: bytes) -> Template:
    """What `written` has written. Raises msgspec.MsgspecError."""
    return _decode(body)


def load(*folders: Path) -> Registry:
    """All templates of these folders. Raises TemplatesError with everything that is wrong with any of them."""
    found: dict[str, Template] = {}
    faults: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            faults.append(f"{folder}: there is no such folder.")
        for stem, form, graph in _pairs(folder, faults):
            id = "_".join(stem.relative_to(folder).parts)
            if not ID.fullmatch(id):
                faults.append(
                    f"{form}: {id} cannot be the id of a template: lower case, digits and `_` only."
                )
            elif id in found:
                faults.append(f"{form}: there is a template {id} already.")
            elif (template := _read(form, graph, faults)) is not None:
                found[id] = template
    if faults:
        raise TemplatesError("\n".join(faults))
    return Registry(found)


def _pairs(folder: Path, faults: list[str]) -> Iterator[tuple[Path, Path, Path]]:
    """(path without suffixes, form, graph) of each template."""
    files: dict[tuple[Path, str], list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        part = Path(path.stem).suffix
        if path.suffix in READERS and part in (FORM, GRAPH) and path.is_file():
            files.setdefault((path.with_suffix("").with_suffix(""), part), []).append(path)
    for stem in sorted({stem for stem, _ in files}):
        forms, graphs = files.get((stem, FORM), []), files.get((stem, GRAPH), [])
        for part, those in ((FORM, forms), (GRAPH, graphs)):
            if len(those) != 1:
                faults.append(
                    f"{stem}: it has {len(those)} files {stem.name}{part}.json or .yaml; one it must be."
                )
        if len(forms) == len(graphs) == 1:
            yield stem, forms[0], graphs[0]


def _read(form: Path, graph: Path, faults: list[str]) -> Template | None:
    before = len(faults)
    described, nodes = _decoded(form, faults), _decoded(graph, faults)
    if len(faults) > before:
        return None
    try:
        template = Template(read(described, Form, "form"), nodes)
        check(template)
    except Invalid as refusal:
        for error in refusal.errors:
            path = graph if error.field.startswith("graph") else form
            faults.append(f"{path}: {error.field}: {error.reason}")
        return None
    return template


def _decoded(path: Path, faults: list[str]) -> Any:
    try:
        return READERS[path.suffix](path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:  # both decoders' errors are ValueErrors
        faults.append(f"{path}: it cannot be read: {error}")
        return None
