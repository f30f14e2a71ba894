"""Templates: graphs with a form. What there are, what each takes, and runs of them."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, Digest, answers
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.generate import Preset, TemplateValues, Wildcards, from_template
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from adapters.http.renditions import OwnRendition, chosen
from adapters.http.runs import Accepted, Pool, Priority, accepted_run
from commands.filling import Found, find
from commands.generating import Generate
from commands.runs import Submitted
from commands.streams import Context
from domain.workflow import Requirements
from projections import template_shelf
from projections.paging import bounded, unreadable
from workflows.filling import bare
from workflows.forms import Kind, Parameter, Template
from workflows.graph import Node, requirements
from workflows.json_schema import schema
from workflows.model_inputs import folder_of
from workflows.registry import Entry
from workflows.values import defaults


class TemplateSummary(Struct, kw_only=True):
    """`model_family`: `plain` where no model is needed."""

    id: Annotated[str, Meta(examples=["plain_card"])]
    owner: Annotated[UUID | None, Meta(description="Null: it comes with the program.")]
    public: bool
    name: str
    description: str
    category: Annotated[str, Meta(examples=["utility"])]
    model_family: Annotated[str, Meta(examples=["plain"])]
    supports_batch: bool
    max_batch_size: Annotated[int, Meta(description="How many runs a batch of it may have.")]
    requires_image: bool
    requires_mask: bool


class ParameterAnswer(Struct, kw_only=True):
    """One field of the form. `default` is null where `required`, or for a choice of null."""

    name: str
    type: Kind
    label: str
    description: str
    group: str
    required: bool
    default: Any
    min: float | None
    max: float | None
    step: float | None
    choices: list[Any]
    wildcards: Annotated[bool, Meta(description="Whether the text is left to chance.")]
    models: Annotated[str | None, Meta(description="The folder its files lie in: GET /models?type=")]
    binds: Annotated[list[dict[str, Any]], Meta(description="The inputs of nodes that get the value.")]


class TemplateAnswer(TemplateSummary, kw_only=True):
    version: Digest
    number: Annotated[int | None, Meta(description="Of the version, of a template of an account.")]
    requirements: Requirements
    parameters: Annotated[list[ParameterAnswer], Meta(description="In the order of the form.")]
    schema: Annotated[dict[str, Any], Meta(description="Of its values: JSON Schema 2020-12.")]
    defaults: dict[str, Any]
    example: Annotated[dict[str, Any], Meta(description="Values that make something of it.")]


class TemplatePage(Struct):
    items: list[TemplateSummary]
    next_cursor: Cursor


class Page(Struct):
    """As Postgres writes it."""

    items: list[msgspec.Raw]
    next_cursor: str | None


class RunBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out is as the template has it."""

    values: TemplateValues = {}
    preset: Preset = None
    wildcards: Wildcards = None
    priority: Priority = 5
    pool: Pool | None = None
    rendition: OwnRendition = None


@get("/templates", responses=answers(200, TemplatePage, 401, 422))
async def listed(
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str | None] = None,
    category: FromQuery[str | None] = None,
    family: FromQuery[str | None] = None,
    q: FromQuery[str | None] = None,
    own: FromQuery[bool] = False,
) -> Response[bytes]:
    """Those that come with the program, by their ids; then yours and the public ones, the last changed first.

    `q`: words of its name or description. `own`: only yours.
    """
    most, named = bounded(limit), {"category": category, "family": family, "text": q}
    shipped: list[Entry] = []
    if not own and (cursor is None or not cursor[:1].isdigit()):
        if cursor is not None and parts.commands.needs.templates.get(cursor) is None:
            raise unreadable()
        shipped = list(parts.commands.needs.templates.listed(**named))
        shipped = [each for each in shipped if cursor is None or each.id > cursor]
        cursor = None
    items = [msgspec.Raw(msgspec.json.encode(_summary(each.id, _found(each)))) for each in shipped[:most]]
    if len(shipped) > most:
        return _page(items, shipped[most - 1].id)
    owner = caller.account if own else None
    more = await reader.ask(
        template_shelf.templates, limit=max(1, most - len(items)), after=cursor, owner=owner, **named
    )
    found = msgspec.json.decode(more, type=Page)
    if len(items) == most:
        return _page(items, shipped[most - 1].id if found.items else None)
    return _page([*items, *found.items], found.next_cursor)


@get("/templates/{template:str}", responses=answers(200, TemplateAnswer, 401, 404))
async def show(
    template: FromPath[str], parts: NamedDependency[Parts], caller: NamedDependency[Caller]
) -> Response[bytes]:
    """The form of a template: its fields, the same as a JSON Schema, what it takes by default, and an example.

    `ETag`: the revision of one of an account's.
    """
    found = await find(template, caller.account, parts.commands.needs)
    answer = json_response(msgspec.json.encode(_described(template, found)))
    if found.published is not None:
        answer.headers["ETag"] = f'"{found.published.revision}"'
    return answer


@get("/templates/{template:str}/defaults", responses=answers(200, dict[str, Any], 401, 404))
async def show_defaults(
    template: FromPath[str], parts: NamedDependency[Parts], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """The values that a template has where none is given; those that must be given are not among them."""
    found = await find(template, caller.account, parts.commands.needs)
    return defaults(found.template.form)


@post(
    "/templates/{template:str}/runs",
    dto=StrictBody[RunBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Accepted, 401, 404, 409, 413, 415, 422, 429),
)
async def run(
    template: FromPath[str],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    data: JSONBody[RunBody] = RunBody(),
) -> Response[Accepted]:
    """Run a template with values. 422 names everything that is wrong with them.

    A seed of -1 is drawn now and kept. The run records the template as it is now, and all values.
    """
    asked = from_template(template, data.values, data)
    wish = Generate(
        by=caller.account,
        asked=asked,
        priority=data.priority,
        pool=data.pool,
        rendition=chosen(data.rendition),
    )
    submitted: Submitted = await parts.commands.run(wish, context)
    return accepted_run(submitted, parts)


def _page(items: list[msgspec.Raw], cursor: str | None) -> Response[bytes]:
    return json_response(msgspec.json.encode({"items": items, "next_cursor": cursor}))


def _found(entry: Entry) -> Found:
    return Found(entry.template, entry.digest)


def _summary(id: str, found: Found) -> TemplateSummary:
    return TemplateSummary(**_about(id, found))


def _described(id: str, found: Found) -> TemplateAnswer:
    form = found.template.form
    return TemplateAnswer(
        **_about(id, found),
        version=found.version,
        number=None if found.published is None else found.published.number,
        requirements=_requirements(found.template),
        parameters=[_field(each, found.template) for each in form.parameters],
        schema=schema(form),
        defaults=defaults(form),
        example=form.example,
    )


def _about(id: str, found: Found) -> dict[str, Any]:
    form, published = found.template.form, found.published
    return {
        "id": id,
        "owner": None if published is None else published.owner,
        "public": published is None or published.public,
        "name": form.name,
        "description": form.description,
        "category": form.category,
        "model_family": form.model_family,
        "supports_batch": form.supports_batch,
        "max_batch_size": form.max_batch_size,
        "requires_image": form.requires_image,
        "requires_mask": form.requires_mask,
    }


def _requirements(template: Template) -> Requirements:
    """Of what there is without anybody's LoRAs."""
    nodes = {id: Node(node["class_type"], node["inputs"]) for id, node in bare(template).items()}
    return requirements(nodes)


def _field(each: Parameter, template: Template) -> ParameterAnswer:
    folders = {
        folder_of(template.graph[bind.node]["class_type"], bind.input) or None
        for bind in each.binds
        if each.type in (Kind.CHECKPOINT, Kind.LORA)
    }
    return ParameterAnswer(
        name=each.name,
        type=each.type,
        label=each.label or each.name.replace("_", " "),
        description=each.description,
        group=each.group,
        required=each.required,
        default=None if each.required else each.default,
        min=each.min,
        max=each.max,
        step=each.step,
        choices=list(each.choices),
        wildcards=each.wildcards,
        models=folders.pop() if len(folders) == 1 else None,
        binds=[msgspec.to_builtins(bind) for bind in each.binds],
    )


ROUTER = Router(
    "/",
    route_handlers=[listed, show, show_defaults, run],
    tags=["templates"],
)
