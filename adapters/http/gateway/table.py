"""Which handler answers which address: matched on the raw path, as a name may hold an encoded slash."""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from msgspec import Struct

from adapters.http.gateway.call import Handler
from adapters.http.problems import Malformed


class Route(Struct, frozen=True):
    """`path`: segments; `{name}` stands for any one, `{name*}` at the end for all that follow."""

    method: str
    path: str
    handler: Handler


class Table:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [(route, route.path.strip("/").split("/")) for route in routes]

    def find(self, method: str, segments: list[str]) -> tuple[Handler | None, Mapping[str, str], bool]:
        """The handler with what stands in its variable places; else None, and whether another method is answered."""
        elsewhere = False
        wanted = "GET" if method == "HEAD" else method
        for route, pattern in self._routes:
            names = _matched(pattern, segments)
            if names is None:
                continue
            if route.method == wanted:
                return route.handler, names, True
            elsewhere = True
        return None, {}, elsewhere


def split(raw_path: bytes) -> list[str]:
    """The segments, each decoded by itself. Raises Malformed for what is no UTF-8, and for NUL."""
    try:
        segments = [unquote(part, errors="strict") for part in raw_path.decode("ascii").strip("/").split("/")]
    except UnicodeDecodeError:
        raise Malformed("The address cannot be read.") from None
    if any("\0" in segment for segment in segments):
        raise Malformed("The address contains the NUL character.")
    return segments


def _matched(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    names: dict[str, str] = {}
    for place, part in enumerate(pattern):
        if part.endswith("*}"):
            names[part[1:-2]] = "/".join(segments[place:])
            return names if place < len(segments) else None
        if place >= len(segments):
            return None
        if part.startswith("{"):
            names[part[1:-1]] = segments[place]
        elif part != segments[place]:
            return None
    return names if len(pattern) == len(segments) else None
