"""How long a plan is kept, and statements too long to be looked through each time."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

PLANNED_ONCE = "-c plan_cache_mode=force_generic_plan -c jit=off"
"""As `options` of connections with few, large, ever repeated statements: planning some costs more than executing them,
and Postgres would plan them anew for each array's length and each value. Compiling one takes ten times as long as
executing it, and is done each time."""


class Numbered(Struct, frozen=True):
    """A statement with its parameters numbered, as Postgres wants them: for a raw cursor."""

    text: bytes
    names: tuple[str, ...]

    def values(self, named: Mapping[str, Any]) -> list[Any]:
        return [named[name] for name in self.names]


def numbered(query: str) -> Numbered:
    """From `%(name)s`. psycopg would look for them anew each time where a statement is longer than 4 KiB."""
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

    text = re.sub(r"%\((\w+)\)s", number, query)
    return Numbered(text.encode(), tuple(numbers))
