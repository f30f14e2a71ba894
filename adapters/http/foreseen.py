"""Which problems a route may answer, by what it asks for: described in OpenAPI without any route listing them."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Operation, RequestBody
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from adapters.http.problems import MEDIA_TYPE, STATUS, Problem

ALWAYS = (400, 503)
NAMED = (404,)  # where the address holds a parameter, what it names may not be there
BODY = "data"
TITLES = {status: title for status, title in STATUS.values() if status not in set(HTTPStatus)}
FORESEEN: dict[str, tuple[int, ...]] = {
    "caller": (401, 403),  # 403: an API key, where the route is not for programs or the key lacks the scope
    "leaver": (401,),
    "reader": (401, 403),  # of a token or a key that was sent, also where none need be
    "administrator": (401, 403),
    "overseer": (401, 403),
    "idempotency_key": (
        409,
        413,
    ),  # the key was used for another request; the body is read to tell them apart
    "expected": (412,),
    BODY: (408, 413, 415, 422),
}
"""By the name of a parameter, of the handler itself or of what it depends on."""


@dataclass
class OptionalBody(Operation):
    """A body that may be left out, for readers of OpenAPI."""

    def __post_init__(self) -> None:
        if isinstance(self.request_body, RequestBody):
            self.request_body.required = False


class Foreseeing(ReceiveRoutePlugin):
    """Adds to each route's own answers what its kind may answer. A route lists only what is peculiar to it."""

    def receive_route(self, route: BaseRoute) -> None:
        if not isinstance(route, HTTPRoute):
            return
        for handler in route.route_handlers:
            found = {*ALWAYS, *(NAMED if route.path_parameters else ())}
            for name in asked_for(handler):
                found.update(FORESEEN.get(name, ()))
            own = handler.responses or {}
            handler.responses = {**own, **{each: problem(each) for each in sorted(found - own.keys())}}
            body = handler.parsed_data_field
            if body is not None and body.has_default and handler.operation_class is Operation:
                handler.operation_class = OptionalBody


def problem(status: int) -> ResponseSpec:
    title = TITLES.get(status) or HTTPStatus(status).phrase
    return ResponseSpec(Problem, generate_examples=False, description=title, media_type=MEDIA_TYPE)


def asked_for(handler: HTTPRouteHandler) -> Iterator[str]:
    """The names of all parameters, through the dependencies."""
    provided = handler.resolve_dependencies()
    left: list[Any] = list(handler.parsed_fn_signature.parameters)
    seen = set()
    while left:
        if (name := left.pop()) in seen:
            continue
        seen.add(name)
        yield name
        if name in provided:
            left += provided[name].parsed_fn_signature.parameters
