"""The models that there are for the caller: what live backends have, and what administrators say of it."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import Cursor, answers
from adapters.http.audiences import AudienceAnswer, For, shown_audience
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.known_models import Offered, offered
from commands.models import ChangeModel, RegisterModel, RemoveModel
from commands.streams import Context
from domain.ids import ModelId, Position, model_id, models_id
from domain.model import MODELS
from projections.paging import bounded, unreadable

Type = Annotated[str, Meta(description="The models folder that it lies in.", examples=["checkpoints"])]
Name = Annotated[str, Meta(description="As a graph names it.", examples=["sd15.safetensors"])]
Description = Annotated[str, Meta(examples=["For portraits."])]
BaseModel = Annotated[str, Meta(description="The family that it belongs to.", examples=["sdxl"])]
Words = Annotated[
    tuple[str, ...], Meta(description="What a prompt has to say to wake it.", examples=[["studio style"]])
]
Active = Annotated[bool, Meta(description="false: nobody may use it.")]
Reason = Annotated[
    str, Meta(description="Why, for those who read the log later.", examples=["Licensed to the studio."])
]


class ModelAnswer(Struct, kw_only=True):
    """What is said of it is empty where nobody has said anything."""

    type: Type
    name: Name
    description: Description
    base_model: BaseModel
    trigger_words: Words
    backends: Annotated[list[str], Meta(description="The live backends that have it.", examples=[["gpu-1"]])]


class ModelPage(Struct):
    items: list[ModelAnswer]
    next_cursor: Cursor


class AdminModel(Struct, kw_only=True):
    """As it is registered. `audience` null: it is for everybody."""

    id: UUID
    type: Type
    name: Name
    description: Description
    base_model: BaseModel
    trigger_words: Words
    active: Active
    audience: AudienceAnswer | None


class AdminModelList(Struct):
    items: list[AdminModel]


class Registered(Struct):
    id: UUID
    position: Position


class RegisterBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    type: Type
    name: Name
    description: Description = ""
    base_model: BaseModel = ""
    trigger_words: Words = ()
    active: Active = True
    audience: For | None = None
    reason: Reason


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is. `audience: null`: everybody from now on."""

    description: Description | UnsetType = UNSET
    base_model: BaseModel | UnsetType = UNSET
    trigger_words: Words | UnsetType = UNSET
    active: Active | UnsetType = UNSET
    audience: For | UnsetType | None = UNSET
    reason: Reason


@get("/models", responses=answers(200, ModelPage, 401, 422))
async def show(
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str | None] = None,
    type: FromQuery[str | None] = None,
) -> ModelPage:
    """What your graphs may load: models of the shared backends, of your own, and registered ones, by type and name."""
    most, found = bounded(limit), list[Offered]()
    if cursor is not None and ("/" not in cursor or "\0" in cursor):
        raise unreadable()
    async for each in offered(caller.account, parts.commands.needs, after=cursor or "", type=type):
        found.append(each)
        if len(found) > most:
            break
    shown = found[:most]
    place = f"{shown[-1].type}/{shown[-1].name}" if len(found) > most else None
    return ModelPage([_shown(each) for each in shown], place)


@get("/models", responses=answers(200, AdminModelList, 401, 403))
async def show_all(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> AdminModelList:
    """Every registered model, with who may use it, by type and name."""
    state, _ = await parts.commands.needs.streams.load(MODELS, models_id())
    models = sorted(state.known.values(), key=lambda each: (each.type, each.name))
    return AdminModelList(
        [
            AdminModel(
                id=each.id,
                type=each.type,
                name=each.name,
                description=each.about.description,
                base_model=each.about.base_model,
                trigger_words=each.about.trigger_words,
                active=each.about.active,
                audience=shown_audience(each.about.audience),
            )
            for each in models
        ]
    )


@post(
    "/models",
    dto=StrictBody[RegisterBody],
    return_dto=None,
    responses=answers(201, Registered, 401, 403, 409, 413, 415, 422),
)
async def register(
    data: JSONBody[RegisterBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[Registered]:
    """Say something of a model, whether backends have told of it or not, or keep it from others."""
    wish = RegisterModel(
        type=data.type,
        name=data.name,
        description=data.description,
        base_model=data.base_model,
        trigger_words=data.trigger_words,
        active=data.active,
        audience=data.audience,
        reason=data.reason,
    )
    accepted = await parts.commands.run(wish, context)
    return Response(Registered(model_id(data.type, data.name), accepted.position), status_code=201)


@patch(
    "/models/{model:uuid}",
    dto=StrictBody[ChangeBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 403, 404, 413, 415, 422),
)
async def change(
    model: FromPath[UUID],
    data: JSONBody[ChangeBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Say something else of it. It counts at once here, and within a second everywhere; runs that wait go on."""
    wish = ChangeModel(
        model=ModelId(model),
        description=_set(data.description),
        base_model=_set(data.base_model),
        trigger_words=_set(data.trigger_words),
        active=_set(data.active),
        audience=_set(data.audience),
        everybody=data.audience is None,
        reason=data.reason,
    )
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/models/{model:uuid}", status_code=200, responses=answers(200, Moved, 401, 403, 404, 422))
async def remove(
    model: FromPath[UUID],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
    reason: FromQuery[str] = "",
) -> Moved:
    """Say nothing of it any more, and why in `reason`. Where backends have it, it is for everybody then."""
    accepted = await parts.commands.run(RemoveModel(model=ModelId(model), reason=reason), context)
    return Moved(accepted.position)


def _shown(each: Offered) -> ModelAnswer:
    about = each.about
    return ModelAnswer(
        type=each.type,
        name=each.name,
        description=about.description if about else "",
        base_model=each.base_model,
        trigger_words=about.trigger_words if about else (),
        backends=list(each.backends),
    )


def _set(value: Any) -> Any:
    return None if value is UNSET else value


ROUTER = Router("/", route_handlers=[show], tags=["models"])
ADMIN = Router("/admin", route_handlers=[show_all, register, change, remove], tags=["admin", "models"])
