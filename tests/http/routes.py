"""Every route there is, from the application itself: a new one cannot be forgotten by these tests."""

from functools import cache
from typing import Any, cast

from litestar.routes import HTTPRoute

from adapters.http.app import API


@cache
def table() -> tuple[tuple[str, str], ...]:
    """(method, path) of every route below /api/v1, as `/runs/{run:uuid}/cancel`, in order."""
    found = [
        (str(method), route.path.removeprefix(API.path))
        for route in cast("list[Any]", API.routes)
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    ]
    return tuple(sorted(found))
