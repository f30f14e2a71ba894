"""Accounts as administrators see and change them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.queue import Reason
from adapters.http.reads import Reader
from commands.people import ChangeAccount
from commands.streams import Context
from domain.account import Role
from domain.ids import AccountId
from domain.refusals import FieldError, Invalid
from projections import people


class PersonSummary(Struct, kw_only=True):
    id: UUID
    username: str
    role: Role
    suspended_at: datetime | None
    suspended_for: str
    registered_at: datetime
    logged_in_at: datetime | None


class PersonPage(Struct):
    items: list[PersonSummary]
    next_cursor: Cursor


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is."""

    reason: Reason
    role: Role | None = None
    suspended: bool | None = None
    drop_factor: Annotated[
        bool, Meta(description="Log in without a second factor: they have lost device and recovery codes.")
    ] = False


@get("/admin/accounts", responses=answers(200, PersonPage, 401, 403, 422))
async def everybody(
    overseer: NamedDependency[Reader],
    search: Annotated[
        FromQuery[str], Meta(description="What the name begins with; then in the order of names.")
    ] = "",
    role: FromQuery[Role | None] = None,
    suspended: FromQuery[bool | None] = None,
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """All accounts, the newest first. Erased ones are not among them."""
    if not search.strip():
        return await overseer.page(people.newest, limit=limit, cursor=cursor, role=role, suspended=suspended)
    return await overseer.page(
        people.named, search.strip(), limit=limit, cursor=cursor, role=role, suspended=suspended
    )


@patch(
    "/admin/accounts/{account:uuid}",
    dto=StrictBody[ChangeBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, Moved, 401, 403, 404, 409, 415, 422),
)
async def change(
    account: FromPath[UUID],
    data: JSONBody[ChangeBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Give a role, suspend, reinstate. 409: nobody does so to themselves, so that one administrator is always left.

    Whoever is suspended is logged out everywhere at once, their API keys open nothing, and their runs wait; those that
    are under way end.
    """
    if data.role is None and data.suspended is None and not data.drop_factor:
        raise Invalid("There is nothing to change.", FieldError("role", "Give a role, or say `suspended`."))
    wish = ChangeAccount(
        account=AccountId(account),
        by=administrator.account,
        reason=data.reason,
        role=data.role,
        suspended=data.suspended,
        drop_factor=data.drop_factor,
    )
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


ADMIN = Router("/", route_handlers=[everybody, change], tags=["admin"])
