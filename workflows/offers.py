"""What one account is offered where node classes let people choose files: its own, and those that are for it."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from workflows.class_catalogue import Choices
from workflows.descriptions import INPUTS
from workflows.models import LORA_FOLDER, NamedModel, Restricted, meant


class Offer(Struct, frozen=True):
    """`withheld`: models that are not for it. `own`: files on its own backend, which nobody else decides about.

    `takes_loras`: some backend takes what accounts have uploaded.
    `loras`: of its shelf, by name. `shared_loras`: by their paths, its own among them. `inputs`: by what they are.
    """

    withheld: Restricted = {}
    own: frozenset[str] = frozenset()
    takes_loras: bool = False
    loras: tuple[str, ...] = ()
    shared_loras: tuple[str, ...] = ()
    inputs: Mapping[str, tuple[str, ...]] = {}

    def choices(self, of: Choices) -> list[Any]:
        return list(dict.fromkeys(self._choices(of))) if of.whole else list(self._choices(of))

    def _choices(self, of: Choices) -> Iterator[Any]:
        yield from self._for_it(of.folder, of.before)
        if of.whole and of.folder == LORA_FOLDER:
            yield from self.loras
        if of.folder.startswith(INPUTS):
            yield from self.inputs.get(of.folder.removeprefix(INPUTS), ())
        yield from self._for_it(of.folder, of.names)
        if of.whole and of.folder == LORA_FOLDER:
            yield from self.shared_loras
        yield from self._for_it(of.folder, of.after)

    def _for_it(self, folder: str, names: tuple[Any, ...]) -> Iterator[Any]:
        for name in names:
            if not isinstance(name, str) or name in self.own or not self._kept_back(folder, name):
                yield name

    def _kept_back(self, folder: str, name: str) -> bool:
        return bool(self.withheld) and bool(meant(NamedModel("", "", folder, name), self.withheld))
