"""Every route there is, from the application itself: a new one cannot be forgotten by these tests."""

from functools import cache
from typing import Any, cast

from litestar import Litestar
from litestar.routes import HTTPRoute

from adapters.http.app import API
from adapters.http.callers import DEPENDENCIES


@cache
def table() -> tuple[tuple[str, str], ...]:
    """(method, path) of every route below /api/v1, as `/runs/{run:uuid}/cancel`, in order."""
    application = Litestar([API], dependencies=DEPENDENCIES, openapi_config=None, logging_config=None)
    found = [
        (str(method), route.path.removeprefix(API.path))
        for route in cast("list[Any]", application.routes)
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    ]
    return tuple(sorted(found))
