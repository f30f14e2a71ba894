"""Presets: named values for templates, an account's own or everybody's."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, HistoryPage, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.workflow_answers import Revision
from commands.presets import CreatePreset, DeletePreset, SavedPreset, SavePreset, shown
from commands.streams import Context
from domain.ids import Position, PresetId
from domain.preset import NO_PRESET, PRESET
from projections import preset_shelf
from workflows.presets import PresetValues


class PresetBody(PresetValues, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`template`: the only one it is for; left out: any, as far as the names of its parameters are these."""

    name: Annotated[str, Meta(min_length=1, max_length=200, examples=["Milan"])]
    description: Annotated[str, Meta(max_length=2_000)] = ""
    template: Annotated[str, Meta(max_length=100)] | None = None
    public: bool = False


class PresetSummary(Struct, kw_only=True):
    id: UUID
    owner: UUID
    public: bool
    name: str
    description: str
    template: str | None
    revision: Revision
    created_at: datetime
    updated_at: datetime


class PresetAnswer(PresetValues, frozen=True, omit_defaults=False, kw_only=True):
    id: UUID
    owner: UUID
    public: bool
    name: str
    description: str
    template: str | None
    revision: Revision


class PresetPage(Struct):
    items: list[PresetSummary]
    next_cursor: Cursor


class SavedAnswer(Struct, frozen=True):
    id: PresetId
    url: str
    position: Position


@post(
    "/presets",
    dto=StrictBody[PresetBody],
    return_dto=None,
    responses=answers(201, SavedAnswer, 401, 404, 409, 413, 415, 422),
)
async def create(
    data: JSONBody[PresetBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[SavedAnswer]:
    """Keep values under a name. 422 names everything that the template it is for would not take."""
    wish = CreatePreset(
        owner=caller.account,
        name=data.name,
        description=data.description,
        template=data.template,
        values=_values(data),
        public=data.public,
    )
    saved: SavedPreset = await parts.commands.run(wish, context)
    url = f"{parts.public_url}/api/v1/presets/{saved.id}"
    return Response(SavedAnswer(saved.id, url, saved.position), status_code=201, headers={"Location": url})


@get("/presets", responses=answers(200, PresetPage, 401, 422))
async def listed(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
    template: FromQuery[str | None] = None,
    own: FromQuery[bool] = False,
) -> Response[bytes]:
    """Yours and the public ones, the last changed first. `template`: those it can be run with. `own`: only yours."""
    owner = caller.account if own else None
    return await reader.page(preset_shelf.presets, limit=limit, cursor=cursor, owner=owner, template=template)


@get("/presets/{preset:uuid}", responses=answers(200, PresetAnswer, 401, 404))
async def show(
    preset: FromPath[UUID], parts: NamedDependency[Parts], caller: NamedDependency[Caller]
) -> Response[PresetAnswer]:
    """One of yours, or a public one. `ETag`: its revision."""
    found = await shown(PresetId(preset), caller.account, parts.commands.needs)
    assert found.state.owner is not None
    answer = PresetAnswer(
        id=preset,
        owner=found.state.owner,
        public=found.state.public,
        name=found.saved.name,
        description=found.saved.description,
        template=found.saved.template,
        revision=found.revision,
        **{name: getattr(found.values, name) for name in PresetValues.__struct_fields__},
    )
    return Response(answer, headers={"ETag": f'"{found.revision}"'})


@put(
    "/presets/{preset:uuid}",
    dto=StrictBody[PresetBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 409, 412, 413, 415, 422),
)
async def save(
    preset: FromPath[UUID],
    data: JSONBody[PresetBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Write a preset of yours anew, all of it; what is left out is left out of it. `If-Match` as in PATCH."""
    wish = SavePreset(
        by=caller.account,
        preset=PresetId(preset),
        name=data.name,
        description=data.description,
        template=data.template,
        values=_values(data),
        public=data.public,
        expected=expected,
    )
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


@delete("/presets/{preset:uuid}", status_code=200, responses=answers(200, Moved, 401, 404, 412))
async def remove(
    preset: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Remove a preset of yours. Runs that were made with it stay. `If-Match` as in PATCH."""
    wish = DeletePreset(by=caller.account, preset=PresetId(preset), expected=expected)
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


@get("/presets/{preset:uuid}/history", responses=answers(200, HistoryPage, 401, 404, 422))
async def history(
    preset: FromPath[UUID],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Everything that ever happened to a preset of yours, in order."""
    return await reader.history(preset, PRESET.kind, limit=limit, cursor=cursor, missing=NO_PRESET)


def _values(data: PresetBody) -> PresetValues:
    return PresetValues(**{name: getattr(data, name) for name in PresetValues.__struct_fields__})


ROUTER = Router("/", route_handlers=[create, listed, show, save, remove, history], tags=["templates"])
