"""The contracts for whoever follows events, beside the OpenAPI document."""

from functools import cache
from typing import Any

import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath

from adapters.http.answers import ANYBODY, answers
from domain.refusals import NotFound
from services import contracts

VERSION = "1"
SCHEMA = "application/schema+json"
SHARED = {"Cache-Control": "public, max-age=300"}


@cache
def asyncapi_document() -> bytes:
    return msgspec.json.encode(contracts.asyncapi(VERSION))


@cache
def schema_documents() -> dict[str, bytes]:
    return {name: msgspec.json.encode(schema) for name, schema in contracts.schemas().items()}


@get("/asyncapi.json", security=ANYBODY, responses=answers(200, dict[str, Any]))
async def asyncapi() -> Response[bytes]:
    """The events that integrators may follow, as AsyncAPI 3.0."""
    return Response(asyncapi_document(), media_type="application/json", headers=SHARED)


@get("/events/{name:str}", security=ANYBODY, responses=answers(200, dict[str, Any], media_type=SCHEMA))
async def event(name: FromPath[str]) -> Response[bytes]:
    """The JSON Schema of one type of event, as `run.succeeded.v1.json`; of all of them: `envelope.json`."""
    found = schema_documents().get(name)
    if found is None:
        raise NotFound("There is no such type of event.")
    return Response(found, media_type=SCHEMA, headers=SHARED)


ROUTER = Router("/schema", route_handlers=[asyncapi, event], tags=["contracts"])
