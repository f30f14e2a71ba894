"""One's own outputs: found, told of, starred and deleted, one or many."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.filters import From, To, instant
from adapters.http.output_answers import OutputDetail, OutputPage, TouchedAnswer, TouchedOutputs
from adapters.http.outputs import (
    WantedFormat,
    WantedMetadata,
    WantedQuality,
    handed_out,
    output_urls,
    rendition_of,
    wanted,
)
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from adapters.http.sources import with_source
from commands.outputs import Act, Place, TouchOutput, TouchOutputs
from commands.streams import Context
from domain.ids import Digest, OutputId, Position, RunId
from domain.outputs import NO_OUTPUT
from domain.refusals import NotFound
from domain.rendition import AS_MADE
from domain.run import RunSubmitted
from projections import run_status
from projections.run_pages import OutputFilters
from workflows.seeds import seeds

MAX_TOUCHED = 500


class TouchBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Each is done or refused by itself."""

    act: Annotated[Literal["star", "unstar", "delete"], Meta(examples=["star"])]
    outputs: Annotated[tuple[UUID, ...], Meta(min_length=1, max_length=MAX_TOUCHED)]


@get("/outputs", responses=answers(200, OutputPage, 401, 422))
async def mine(
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
    workflow: FromQuery[UUID | None] = None,
    starred: FromQuery[bool | None] = None,
    media_type: FromQuery[str | None] = None,
    since: From = None,
    until: To = None,
) -> Response[bytes]:
    """Your outputs, the newest first. `media_type`: such as `image/png`, or `image` for all of these."""
    filters = OutputFilters(
        workflow=workflow,
        starred=starred,
        media_type=media_type,
        since=instant("from", since),
        until=instant("to", until),
    )
    found = await reader.ask(
        run_status.own_outputs, caller.account, limit=limit, after=cursor, filters=filters
    )
    page = msgspec.json.decode(found)
    for each in page["items"]:
        _finished(each, parts)
    return json_response(msgspec.json.encode(page))


@get("/outputs/{output:uuid}", responses=answers(200, OutputDetail, 401, 404, 422))
async def show(
    output: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
) -> Response[bytes]:
    """One of your outputs, and everything that made it: graph, values, seed, models, when and where."""
    found = msgspec.json.decode(await reader.one(run_status.own_output, output, missing=NO_OUTPUT))
    made, run = found["output"], await with_source(found["run"], parts)
    submitted = (await parts.log.read(RunId(UUID(run["id"]))))[:1]
    if not submitted or not isinstance(submitted[0].event, RunSubmitted):
        raise NotFound(NO_OUTPUT)
    event = submitted[0].event
    body = await parts.commands.needs.contents.get(event.graph.digest)
    graph = None if body is None else msgspec.json.decode(body)
    source = run["source"]
    models = event.requirements.models
    told = _finished(made, parts) | {
        "workflow_version": run["workflow_version"],
        "source": source,
        "backend": run["backend"],
        "submitted_at": run["submitted_at"],
        "started_at": run["started_at"],
        "ended_at": run["ended_at"],
        "execution_s": run["execution_s"],
        "seed": source["seed"] if source["seed"] is not None else next(iter(seeds(graph or {})), None),
        "models": [name for name in models if not name.startswith("loras/")],
        "loras": [name.removeprefix("loras/") for name in models if name.startswith("loras/")],
        "graph_digest": event.graph.digest,
        "graph": graph,
    }
    return json_response(msgspec.json.encode(told))


@get(
    "/outputs/{output:uuid}/file",
    responses=answers(200, bytes, 401, 404, 416, 422, 429, media_type="*/*"),
)
async def show_file(
    output: FromPath[UUID],
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    wanted_format: WantedFormat = None,
    quality: WantedQuality = None,
    metadata: WantedMetadata = None,
) -> Response[Any]:
    """The file itself. What is not said here of its rendition is as you want all of them; `format=original` and
    `metadata=on` give it as it was made."""
    found = msgspec.json.decode(await reader.one(run_status.own_output, output, missing=NO_OUTPUT))["output"]
    base = rendition_of(found, found["media_type"]) or AS_MADE
    rendition = wanted(base, wanted_format, quality, metadata)
    answer = await handed_out(
        Digest(found["digest"]), found["name"], found["media_type"], rendition, parts, request
    )
    if answer is None:
        raise NotFound(NO_OUTPUT)
    return answer


@put("/outputs/{output:uuid}/star", status_code=200, responses=answers(200, Moved, 401, 404, 409))
async def star(
    output: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    context: NamedDependency[Context],
) -> Moved:
    """Mark an output, to find it again, and to keep it. Asking twice changes nothing. 409 while its run is not over."""
    return await _touch(Act.STAR, output, parts, caller, reader, context)


@delete("/outputs/{output:uuid}/star", status_code=200, responses=answers(200, Moved, 401, 404, 409))
async def unstar(
    output: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    context: NamedDependency[Context],
) -> Moved:
    """Take the mark away."""
    return await _touch(Act.UNSTAR, output, parts, caller, reader, context)


@delete("/outputs/{output:uuid}", status_code=200, responses=answers(200, Moved, 401, 404, 409))
async def remove(
    output: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    context: NamedDependency[Context],
) -> Moved:
    """Put one output out of sight. Its file goes where nothing else needs it. 409 while its run is not over."""
    return await _touch(Act.DELETE, output, parts, caller, reader, context)


@post(
    "/outputs/bulk",
    dto=StrictBody[TouchBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, TouchedOutputs, 401, 415, 422),
)
async def touch_many(
    data: JSONBody[TouchBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    context: NamedDependency[Context],
) -> TouchedOutputs:
    """Star, unstar or delete up to 500 outputs by one wish. Each has its own result; asking again changes nothing."""
    asked = list(dict.fromkeys(map(OutputId, data.outputs)))
    found = {place.id: place for place in await places(asked, reader)}
    wish = TouchOutputs(
        by=caller.account, outputs=tuple(found[id] for id in asked if id in found), act=Act(data.act)
    )
    touched = {each.output: each for each in await parts.commands.run(wish, context)}
    items = []
    for id in asked:
        refused = touched[id].refused if id in touched else NotFound(NO_OUTPUT)
        items.append(TouchedAnswer(id, refused is None, None if refused is None else str(refused)))
    return TouchedOutputs(items, max((each.position for each in touched.values()), default=Position(0)))


async def places(ids: list[OutputId], reader: Reader) -> list[Place]:
    """Of those that are one's own."""
    rows = msgspec.json.decode(await reader.ask(run_status.some_outputs, ids))
    return [Place(RunId(UUID(row["run"])), row["node"], row["index"]) for row in rows]


async def _touch(
    act: Act, output: UUID, parts: Parts, caller: Caller, reader: Reader, context: Context
) -> Moved:
    row = msgspec.json.decode(await reader.one(run_status.own_output, output, missing=NO_OUTPUT))["output"]
    place = Place(RunId(UUID(row["run"])), row["node"], row["index"])
    wish = TouchOutput(by=caller.account, output=place, act=act)
    return Moved((await parts.commands.run(wish, context)).position)


def _finished(made: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """With URLs in the place of how it is handed out."""
    output_urls(made["run"], made, made, parts)
    del made["rendition"]
    return made


ROUTER = Router(
    "/",
    route_handlers=[mine, show, show_file, star, unstar, remove, touch_many],
    tags=["outputs"],
)
