"""Pictures from typed parameters or from a template: one run, one that is waited for, many, and a grid of them."""

from typing import Annotated, Any, Protocol, TypeAlias
from uuid import UUID

import msgspec
from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.batches import AcceptedBatch, accepted_batch
from adapters.http.bodies import either
from adapters.http.callers import Caller
from adapters.http.outputs import with_urls
from adapters.http.parts import Parts
from adapters.http.reads import json_response
from adapters.http.renditions import OwnRendition, chosen, with_rendition
from adapters.http.run_answers import RunAnswer
from adapters.http.runs import Accepted, Pool, Priority, accepted_run
from adapters.http.sources import with_source
from adapters.http.waiting import until_over
from commands.batches import GenerateBatch, GenerateGrid, SubmittedBatch
from commands.filling import Asked, FromTemplate
from commands.generating import Generate
from commands.runs import Submitted
from commands.streams import Context
from domain.ids import PresetId
from projections import past, run_status
from projections.run_status import RUN_STATUS
from workflows.parameters import Parameters

MAX_WAIT_S = 120.0
TemplateId: TypeAlias = Annotated[
    str, Meta(max_length=100, description="See GET /templates.", examples=["plain_card"])
]
TemplateValues: TypeAlias = Annotated[
    dict[str, Any], Meta(description="By the names of its parameters.", examples=[{"text": "menu"}])
]

Wait: TypeAlias = Annotated[
    float, QueryParameter(ge=0, le=MAX_WAIT_S, description="How long to wait, in seconds.", examples=[])
]

Preset: TypeAlias = Annotated[
    UUID | None, Meta(description="A preset that is laid under the values: see GET /presets.")
]
Wildcards: TypeAlias = Annotated[
    bool | None,
    Meta(description="Whether `{a|b}` and `__list__` in texts are left to chance; null: as the form says."),
]


class GenerateBody(Parameters, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Parameters, how soon it is wanted, and where it waits."""

    priority: Priority = 5
    pool: Pool | None = None
    rendition: OwnRendition = None


class FromTemplateBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A template in the place of parameters."""

    template: TemplateId
    values: TemplateValues = {}
    preset: Preset = None
    wildcards: Wildcards = None
    priority: Priority = 5
    pool: Pool | None = None
    rendition: OwnRendition = None


class BatchBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of them or none."""

    runs: Annotated[
        tuple[Parameters, ...],
        Meta(
            min_length=1,
            max_length=200,
            examples=[[{"checkpoint": "sandbox.safetensors", "prompt": "a fox"}]],
        ),
    ]
    priority: Priority = 5
    pool: Pool | None = None
    rendition: OwnRendition = None


class TemplateBatchBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Runs of one template: of each, the values that are not to be as the template has them."""

    template: TemplateId
    runs: Annotated[
        tuple[TemplateValues, ...],
        Meta(min_length=1, max_length=200, examples=[[{"text": "one"}, {"text": "two"}]]),
    ]
    preset: Preset = None
    wildcards: Wildcards = None
    priority: Priority = 5
    pool: Pool | None = None
    rendition: OwnRendition = None


class GridBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run for each combination of the values in `vary`, 200 at most, the last list changing first."""

    parameters: Annotated[
        Parameters, Meta(examples=[{"checkpoint": "sandbox.safetensors", "prompt": "a fox in the snow"}])
    ]
    vary: Annotated[
        dict[str, list[Any]],
        Meta(description="A parameter's name: its values.", examples=[{"cfg": [5, 7], "steps": [10, 20]}]),
    ]
    priority: Priority = 5
    pool: Pool | None = None
    rendition: OwnRendition = None


class TemplateGridBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same over the values of a template."""

    template: TemplateId
    values: TemplateValues = {}
    preset: Preset = None
    wildcards: Wildcards = None
    vary: Annotated[
        dict[str, list[Any]],
        Meta(description="A parameter's name: its values.", examples=[{"margin": [10, 20]}]),
    ]
    priority: Priority = 5
    pool: Pool | None = None
    rendition: OwnRendition = None


ONE_OF = either(GenerateBody, FromTemplateBody, "template")


@post(
    "/generate",
    dto=ONE_OF,
    return_dto=None,
    status_code=202,
    responses=answers(202, Accepted, 401, 404, 409, 413, 415, 422, 429),
)
async def generate(
    data: JSONBody[GenerateBody | FromTemplateBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[Accepted]:
    """Make pictures from parameters, or from a template's values. 422 names everything that is wrong with them.

    A seed of -1 is drawn now and kept: the run shows it, and running it again gives the same pictures.
    """
    return accepted_run(await _submit(data, parts, caller, context), parts)


@post(
    "/edit/inpaint",
    dto=ONE_OF,
    return_dto=None,
    status_code=202,
    responses=answers(202, Accepted, 401, 404, 409, 413, 415, 422, 429),
)
async def inpaint(
    data: JSONBody[GenerateBody | FromTemplateBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[Accepted]:
    """Make a part of a picture anew, as /generate: here an image and a mask must be among the parameters or values.

    Of templates, those that require both: `requires_image` and `requires_mask`.
    """
    return accepted_run(await _submit(data, parts, caller, context, inpaint=True), parts)


@post(
    "/generate/sync",
    dto=ONE_OF,
    return_dto=None,
    status_code=200,
    responses=answers(200, RunAnswer, 401, 404, 409, 413, 415, 422, 429) | answers(202, Accepted),
)
async def generate_and_wait(
    data: JSONBody[GenerateBody | FromTemplateBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    wait_s: Wait = MAX_WAIT_S,
) -> Response[Any]:
    """The same, waited for: 200 with the run once it is over, however it ended; after two minutes 202, and it goes on.

    Whoever hangs up cancels nothing. Sent again with the same Idempotency-Key, it waits for the same run.
    """
    submitted = await _submit(data, parts, caller, context)
    happened = await until_over(parts, caller.account, submitted.id, wait_s)
    if happened is None:
        return accepted_run(submitted, parts)
    tables = past.rows(RUN_STATUS, happened)
    if not tables["runs"]:  # deleted meanwhile
        return accepted_run(submitted, parts)
    row = msgspec.to_builtins(run_status.shown(tables["runs"][0], tables["outputs"], tables["run_traits"]))
    await with_rendition(await with_source(row, parts), caller.account, parts)
    answer = json_response(msgspec.json.encode(with_urls(row, parts)))
    answer.headers["Location"] = f"{parts.public_url}/api/v1/runs/{submitted.id}"
    return answer


@post(
    "/generate/batch",
    dto=either(BatchBody, TemplateBatchBody, "template"),
    return_dto=None,
    status_code=202,
    responses=answers(202, AcceptedBatch, 401, 404, 409, 413, 415, 422, 429),
)
async def generate_batch(
    data: JSONBody[BatchBody | TemplateBatchBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[AcceptedBatch]:
    """Many runs by one wish, all of them or none: watched and cancelled together."""
    match data:
        case BatchBody(runs=runs):
            asked: tuple[Asked, ...] = runs
        case TemplateBatchBody(template=template):
            asked = tuple(from_template(template, values, data) for values in data.runs)
    wish = GenerateBatch(
        by=caller.account,
        runs=asked,
        priority=data.priority,
        pool=data.pool,
        rendition=chosen(data.rendition),
    )
    submitted: SubmittedBatch = await parts.commands.run(wish, context)
    return accepted_batch(submitted, parts)


@post(
    "/generate/grid",
    dto=either(GridBody, TemplateGridBody, "template"),
    return_dto=None,
    status_code=202,
    responses=answers(202, AcceptedBatch, 401, 404, 409, 413, 415, 422, 429),
)
async def generate_grid(
    data: JSONBody[GridBody | TemplateGridBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[AcceptedBatch]:
    """Every combination of lists of values: to compare LoRAs, checkpoints, strengths ... side by side.

    Unless the seed is what is varied, all runs have the same one.
    """
    match data:
        case GridBody(parameters=parameters):
            asked: Asked = parameters
        case TemplateGridBody(template=template, values=values):
            asked = from_template(template, values, data)
    wish = GenerateGrid(
        by=caller.account,
        asked=asked,
        vary=data.vary,
        priority=data.priority,
        pool=data.pool,
        rendition=chosen(data.rendition),
    )
    submitted: SubmittedBatch = await parts.commands.run(wish, context)
    return accepted_batch(submitted, parts)


class Laid(Protocol):
    """How the values of a body are taken."""

    @property
    def preset(self) -> UUID | None: ...

    @property
    def wildcards(self) -> bool | None: ...


def from_template(template: str, values: dict[str, Any], laid: Laid) -> FromTemplate:
    preset = None if laid.preset is None else PresetId(laid.preset)
    return FromTemplate(template=template, values=values, preset=preset, wildcards=laid.wildcards)


async def _submit(
    data: GenerateBody | FromTemplateBody,
    parts: Parts,
    caller: Caller,
    context: Context,
    *,
    inpaint: bool = False,
) -> Submitted:
    match data:
        case GenerateBody():
            values = {name: getattr(data, name) for name in Parameters.__struct_fields__}
            asked: Asked = Parameters(**values)
        case FromTemplateBody(template=template, values=given):
            asked = from_template(template, given, data)
    wish = Generate(
        by=caller.account,
        asked=asked,
        priority=data.priority,
        pool=data.pool,
        rendition=chosen(data.rendition),
        inpaint=inpaint,
    )
    submitted: Submitted = await parts.commands.run(wish, context)
    return submitted


ROUTER = Router(
    "/",
    route_handlers=[generate, inpaint, generate_and_wait, generate_batch, generate_grid],
    tags=["runs"],
)
