"""Every route there is, from the application itself: a new one cannot be forgotten by these tests."""

from functools import cache
from typing import Any, cast

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from adapters.http.app import routes
from adapters.http.parts import Parts

PREFIX = "/api/v1"


@cache
def application() -> Litestar:
    """With no parts: only its routes are looked at."""
    nothing = msgspec.structs.force_setattr
    parts = Parts.__new__(Parts)
    nothing(parts, "max_body_bytes", 1)
    return routes(parts)


def table() -> list[tuple[str, str]]:
    """(method, path) of every route below /api/v1, as `/runs/{run:uuid}/cancel`, in order."""
    found = [
        (str(method), route.path.removeprefix(PREFIX))
        for route in cast("list[Any]", application().routes)
        if isinstance(route, HTTPRoute) and route.path.startswith(PREFIX)
        for method in route.methods
        if method != "OPTIONS"
    ]
    return sorted(found)
