r"""Texts that are left to chance: `{red|green}` is one of them, `__colour__` one of a list of that name.

What is chosen follows from a seed: the same text with the same one says the same. `\{`, `\}`, `\|` and `\__` are those
letters themselves; braces with nothing to choose between are left as they are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TypeAlias

from msgspec import Struct

Lists: TypeAlias = Mapping[str, Sequence[str]]
Piece: TypeAlias = "str | Choice | Named"

MAX_DEPTH = 20
TOKENS = re.compile(r"\\__|\\[{}|]|__([a-z][a-z0-9_]*?)__(?!_)|[{}|]")


class Choice(Struct, frozen=True):
    """One of these; each is made of pieces."""

    options: tuple[tuple[Piece, ...], ...]


class Named(Struct, frozen=True):
    """One of the list of this name."""

    name: str


class WildcardError(Exception):
    """A text that cannot be resolved; the message says why."""


def resolved(text: str, lists: Lists, seed: int, salt: str) -> str:
    """`salt`: told from it, two texts with one seed choose apart. Raises WildcardError."""
    drawn = _drawn(seed, salt)
    return "".join(_said(parse(text, lists), lists, drawn))


def longest(text: str, lists: Lists) -> int:
    """How many characters it may become. Raises WildcardError."""
    return _longest(parse(text, lists), lists)


def parse(text: str, lists: Lists) -> tuple[Piece, ...]:
    """Raises WildcardError."""
    open_groups: list[list[list[Piece]]] = [[[]]]
    end = 0
    for token in TOKENS.finditer(text):
        pieces = open_groups[-1][-1]
        pieces.append(text[end : token.start()])
        end, found = token.end(), token[0]
        if found.startswith("\\"):
            pieces.append(found[1:])
        elif token[1] is not None:
            if not lists.get(token[1]):
                raise WildcardError(
                    f"There is no list called {token[1]}. Write \\__ where two lines are meant."
                )
            pieces.append(Named(token[1]))
        elif found == "{":
            if len(open_groups) > MAX_DEPTH:
                raise WildcardError(f"Braces are nested more than {MAX_DEPTH} levels deep.")
            open_groups.append([[]])
        elif found == "|" and len(open_groups) > 1:
            open_groups[-1].append([])
        elif found == "|":
            pieces.append(found)
        elif len(open_groups) == 1:
            raise WildcardError("A } closes nothing. Write \\} where a brace is meant.")
        else:
            _close(open_groups)
    if len(open_groups) > 1:
        raise WildcardError("A { is not closed. Write \\{ where a brace is meant.")
    open_groups[0][0].append(text[end:])
    return tuple(open_groups[0][0])


def named(pieces: Sequence[Piece]) -> set[str]:
    """The lists that are chosen from."""
    found: set[str] = set()
    for piece in pieces:
        match piece:
            case Named(name=name):
                found.add(name)
            case Choice(options=options):
                found |= {name for option in options for name in named(option)}
            case str():
                pass
    return found


def _close(open_groups: list[list[list[Piece]]]) -> None:
    options = open_groups.pop()
    pieces = open_groups[-1][-1]
    if len(options) == 1:
        pieces += ["{", *options[0], "}"]
    else:
        pieces.append(Choice(tuple(tuple(option) for option in options)))


def _said(pieces: Sequence[Piece], lists: Lists, drawn: Iterator[int]) -> Iterator[str]:
    for piece in pieces:
        match piece:
            case str():
                yield piece
            case Named(name=name):
                yield lists[name][next(drawn) % len(lists[name])]
            case Choice(options=options):
                yield from _said(options[next(drawn) % len(options)], lists, drawn)


def _longest(pieces: Sequence[Piece], lists: Lists) -> int:
    total = 0
    for piece in pieces:
        match piece:
            case str():
                total += len(piece)
            case Named(name=name):
                total += max(map(len, lists[name]))
            case Choice(options=options):
                total += max(_longest(option, lists) for option in options)
    return total


def _drawn(seed: int, salt: str) -> Iterator[int]:
    """The same numbers for ever, on every machine and in every version of Python."""
    count = 0
    while True:
        yield int.from_bytes(sha256(f"{seed} {salt} {count}".encode()).digest()[:8])
        count += 1
