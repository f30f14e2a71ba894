"""Templates that accounts make of their workflows: saved, published, withdrawn, deleted."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import HistoryPage, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from commands.streams import Context
from commands.templates import (
    CreateTemplate,
    DeleteTemplate,
    SavedTemplate,
    SaveTemplateVersion,
    ShowTemplate,
)
from domain.ids import Position, TemplateId, WorkflowId
from domain.template import NO_TEMPLATE, TEMPLATE
from workflows.forms import Form


class FormBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`version`: of the workflow; left out: the newest."""

    workflow: Annotated[UUID, Meta(description="One of your own.")]
    version: Annotated[int, Meta(ge=1)] | None = None
    form: Form


class CreateBody(FormBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`public`: everybody may use it."""

    public: bool = False


class ShowBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    public: bool


class SavedAnswer(Struct, frozen=True):
    """`version`: the number of the newest version."""

    id: TemplateId
    version: int
    url: str
    position: Position


@post(
    "/templates",
    dto=StrictBody[CreateBody],
    return_dto=None,
    responses=answers(201, SavedAnswer, 401, 404, 409, 413, 415, 422),
)
async def create(
    data: JSONBody[CreateBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[SavedAnswer]:
    """Make a template of a version of a workflow of yours. 422 names everything in which the form does not fit it."""
    wish = CreateTemplate(
        owner=caller.account,
        workflow=WorkflowId(data.workflow),
        version=data.version,
        form=data.form,
        public=data.public,
    )
    return _saved(await parts.commands.run(wish, context), parts)


@post(
    "/templates/{template:uuid}/versions",
    dto=StrictBody[FormBody],
    return_dto=None,
    responses=answers(201, SavedAnswer, 401, 404, 409, 412, 413, 415, 422),
)
async def save(
    template: FromPath[UUID],
    data: JSONBody[FormBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Response[SavedAnswer]:
    """Give a template of yours another form or graph: whoever runs it gets that from now on. `If-Match` as in PATCH."""
    wish = SaveTemplateVersion(
        by=caller.account,
        template=TemplateId(template),
        workflow=WorkflowId(data.workflow),
        version=data.version,
        form=data.form,
        expected=expected,
    )
    return _saved(await parts.commands.run(wish, context), parts)


@patch(
    "/templates/{template:uuid}",
    dto=StrictBody[ShowBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 412, 415, 422),
)
async def change(
    template: FromPath[UUID],
    data: JSONBody[ShowBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Publish (`public: true`) or withdraw. With `If-Match`, only while the template's ETag is that one: else 412."""
    wish = ShowTemplate(
        by=caller.account, template=TemplateId(template), public=data.public, expected=expected
    )
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


@delete("/templates/{template:uuid}", status_code=200, responses=answers(200, Moved, 401, 404, 412))
async def remove(
    template: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Remove a template of yours. Runs that were made from it stay. `If-Match` as in PATCH."""
    wish = DeleteTemplate(by=caller.account, template=TemplateId(template), expected=expected)
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


@get("/templates/{template:uuid}/history", responses=answers(200, HistoryPage, 401, 404, 422))
async def history(
    template: FromPath[UUID],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Everything that ever happened to a template of yours, in order."""
    return await reader.history(template, TEMPLATE.kind, limit=limit, cursor=cursor, missing=NO_TEMPLATE)


def _saved(saved: SavedTemplate, parts: Parts) -> Response[SavedAnswer]:
    url = f"{parts.public_url}/api/v1/templates/{saved.id}"
    answer = SavedAnswer(saved.id, saved.version, url, saved.position)
    return Response(answer, status_code=201, headers={"Location": url})


ROUTER = Router("/", route_handlers=[create, save, change, remove, history], tags=["templates"])
