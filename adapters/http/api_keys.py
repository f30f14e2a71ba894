"""API keys: what lets programs in. They are made and revoked by people who are logged in."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.api_keys import MadeApiKey, MakeApiKey, RevokeApiKey
from commands.identity_ports import KeyRow
from commands.streams import Context
from domain.api_key import Scope
from domain.ids import ApiKeyId, Position


class MakeApiKeyBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, Meta(description="What it is for, in your words.", examples=["studio bot"])]
    scopes: Annotated[
        tuple[Scope, ...],
        Meta(
            description="`events`: follow your own and everybody's public events over NATS and HTTP. `events:all`: "
            "those of all accounts, for administrators. `read`, `write`: ask and change what is yours over HTTP.",
            examples=[["events"]],
        ),
    ]
    expires_at: Annotated[datetime | None, Meta(description="Left out: good until it is revoked.")] = None


class ApiKeyAnswer(Struct, frozen=True, kw_only=True):
    """A key without its text. `used_at` is true to a minute."""

    id: UUID
    name: str
    scopes: tuple[Scope, ...]
    made_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class MadeApiKeyAnswer(ApiKeyAnswer, frozen=True, kw_only=True):
    key: Annotated[
        str, Meta(description="Shown now and never again. Send it as X-API-Key or as bearer token.")
    ]
    position: Position


class ApiKeyList(Struct, frozen=True):
    items: list[ApiKeyAnswer]


@post(
    "/",
    dto=StrictBody[MakeApiKeyBody],
    return_dto=None,
    responses=answers(201, MadeApiKeyAnswer, 401, 403, 409, 415, 422),
)
async def make(
    data: JSONBody[MakeApiKeyBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[MadeApiKeyAnswer]:
    """Make a key. Its text is in this answer only; we keep no more than a hash of it."""
    made: MadeApiKey = await parts.commands.run(
        MakeApiKey(by=caller.account, name=data.name, scopes=data.scopes, expires_at=data.expires_at), context
    )
    row = made.row
    answer = MadeApiKeyAnswer(
        id=row.key,
        name=row.name,
        scopes=row.scopes,
        made_at=row.made_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        key=made.text,
        position=made.accepted.position,
    )
    return Response(answer, status_code=201)


@get("/", responses=answers(200, ApiKeyList, 401))
async def mine(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> ApiKeyList:
    """Your keys that are not revoked, the oldest first."""
    return ApiKeyList([_answer(row) for row in await parts.commands.needs.api_keys.of(caller.account)])


@delete("/{key:uuid}", status_code=200, responses=answers(200, Moved, 401, 404))
async def revoke(
    key: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Revoke a key: at once over HTTP; connections to NATS are ended within seconds, its consumers are deleted."""
    accepted = await parts.commands.run(RevokeApiKey(by=caller.account, key=ApiKeyId(key)), context)
    return Moved(accepted.position)


def _answer(row: KeyRow) -> ApiKeyAnswer:
    return ApiKeyAnswer(
        id=row.key,
        name=row.name,
        scopes=row.scopes,
        made_at=row.made_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


ROUTER = Router("/api-keys", route_handlers=[make, mine, revoke], tags=["api keys"])
