"""The node classes of several backends as one ComfyUI would tell of them, ready to be filled for each account.

Only lists of files differ from account to account. All else is written once: an account's document is put together
from pieces of bytes.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeAlias
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from workflows.descriptions import Description, Place, inputs_of, with_choices
from workflows.models import plain

_MARK = f"place {uuid4().hex} "  # nobody can have written it into what a class tells
_PLACES = re.compile(f'"{_MARK}([0-9]+)"'.encode())
_encode = msgspec.json.Encoder().encode


class Choices(Struct, frozen=True):
    """A list that is not the same for everybody. `names`: of the folder's files those that backends have.

    `whole`: further files of that folder belong there, too. `folder` is empty where nobody knows it.
    """

    folder: str
    before: tuple[Any, ...]
    names: tuple[str, ...]
    after: tuple[Any, ...]
    whole: bool


class Told(Struct, frozen=True):
    """One backend: what its classes tell, and the files in its folders, as far as they are everybody's."""

    documents: Sequence[Description]
    models: Mapping[str, tuple[str, ...]]


Piece: TypeAlias = bytes | Choices
Fill: TypeAlias = Callable[[Choices], bytes]
"""Makes JSON of a list."""


class Catalogue(Struct, frozen=True):
    """`classes`: each in the pieces in which it is written. `folders`: the models that backends have.

    `lists`: everything that has to be filled. `digest`: the same for the same catalogue.
    """

    classes: Mapping[str, tuple[Piece, ...]]
    folders: Mapping[str, tuple[str, ...]]
    lists: tuple[Choices, ...]
    digest: str

    def lists_of(self, names: Iterable[str]) -> frozenset[Choices]:
        """What has to be filled to write these classes."""
        among = [name for name in names if name in self.classes]
        return frozenset(
            piece for name in among for piece in self.classes[name] if isinstance(piece, Choices)
        )

    def one(self, name: str, fill: Fill) -> bytes:
        return b"".join(piece if isinstance(piece, bytes) else fill(piece) for piece in self.classes[name])

    def all(self, fill: Fill) -> bytes:
        """As GET /object_info has it."""
        return b"{" + b",".join(_encode(name) + b":" + self.one(name, fill) for name in self.classes) + b"}"


class Filled(Mapping[str, Mapping[str, Any]]):
    """The classes of one account, each read when it is asked for."""

    def __init__(self, catalogue: Catalogue, fill: Fill) -> None:
        self._catalogue = catalogue
        self._fill = fill

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        told: Mapping[str, Any] = msgspec.json.decode(self._catalogue.one(name, self._fill))
        return told

    def __contains__(self, name: object) -> bool:
        return name in self._catalogue.classes

    def __iter__(self) -> Iterator[str]:
        return iter(self._catalogue.classes)

    def __len__(self) -> int:
        return len(self._catalogue.classes)


def merged(
    told: Sequence[Told], wanted: Callable[[str, str], bool], restricted: Collection[str] = ()
) -> Catalogue:
    """Who stands first is believed; of the others come the classes it has not, and what they offer beside.

    `wanted`: whether a class of that module is to be told of. `restricted`: plain names of files that not everybody
    may see, wherever they are offered.
    """
    classes: dict[str, Mapping[str, Any]] = {}
    offered: dict[str, dict[str, Choices]] = {}
    for each in told:
        for document in each.documents:
            for name, one in document.classes.items():
                places = document.files.get(name, {})
                now = {
                    input: _choices(places.get(input), values, each.models)
                    for input, values in inputs_of(one)
                }
                if name in classes:
                    known = offered[name]
                    known |= {
                        input: _together(known[input], now[input]) for input in known.keys() & now.keys()
                    }
                elif wanted(name, str(one.get("python_module", ""))):
                    classes[name], offered[name] = one, now
    folders = _folders(told)
    written = {name: _pieces(one, offered[name], frozenset(restricted)) for name, one in classes.items()}
    lists = dict.fromkeys(piece for each in written.values() for piece in each if isinstance(piece, Choices))
    digest = sha256(repr((list(written.items()), list(folders.items()))).encode()).hexdigest()
    return Catalogue(written, folders, tuple(lists), digest)


def _choices(place: Place | None, values: Sequence[Any], models: Mapping[str, tuple[str, ...]]) -> Choices:
    if place is None or not place.whole:
        return Choices(place.folder if place else "", tuple(values), (), (), False)
    before, after = tuple(values[: place.at]), tuple(values[place.at :])
    return Choices(place.folder, before, models.get(place.folder, ()), after, True)


def _together(first: Choices, other: Choices) -> Choices:
    have = {_key(each) for each in (*first.before, *first.names, *first.after)}
    more = tuple(each for each in (*other.before, *other.after) if _key(each) not in have)
    names = tuple(each for each in other.names if _key(each) not in have)
    if not more and not names:
        return first
    return replace(first, names=tuple(sorted((*first.names, *names))), after=(*first.after, *more))


def _key(value: Any) -> Any:
    return value if isinstance(value, str) else repr(value)


def _folders(told: Sequence[Told]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for each in told:
        for folder, names in each.models.items():
            found.setdefault(folder, set()).update(names)
    return {folder: tuple(sorted(names)) for folder, names in sorted(found.items())}


def _pieces(
    told: Mapping[str, Any], offered: Mapping[str, Choices], restricted: frozenset[str]
) -> tuple[Piece, ...]:
    put: dict[str, Any] = {}
    marked: list[Choices] = []
    for input, each in offered.items():
        values = (*each.before, *each.names, *each.after)
        plainly = all(isinstance(value, str | int | float | None) for value in values)
        if plainly and (each.whole or _touched(values, restricted)):
            put[input] = f"{_MARK}{len(marked)}"
            marked.append(each)
        else:
            put[input] = list(values)
    parts = _PLACES.split(_encode(with_choices(told, put)))
    return tuple(marked[int(part)] if number % 2 else part for number, part in enumerate(parts))


def _touched(values: Iterable[Any], restricted: frozenset[str]) -> bool:
    return bool(restricted) and any(isinstance(each, str) and plain(each) in restricted for each in values)
