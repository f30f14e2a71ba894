"""One's sessions, and what ends them: from where somebody is logged in, another password, another address."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.auth import Email, Moved, Password
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.access import (
    ChangeEmail,
    ChangePassword,
    EndOtherSessions,
    EndSession,
    Renewed,
    open_sessions,
)
from commands.streams import Context
from domain.ids import Position, SessionId

Current = Annotated[str, Meta(description="The one that counts so far.", examples=["correct horse battery"])]


class PasswordBody(Struct, frozen=True, forbid_unknown_fields=True):
    password: Current
    new_password: Password


class EmailBody(Struct, frozen=True, forbid_unknown_fields=True):
    password: Current
    email: Email


class RenewedAnswer(Struct, frozen=True, kw_only=True):
    """What this session goes on with: earlier access tokens open nothing any more; its refresh token still does."""

    position: Position
    access_token: str
    expires_in: int
    token_type: str = "bearer"


class AddressAnswer(RenewedAnswer, frozen=True, kw_only=True):
    mailed: Annotated[
        bool,
        Meta(description="The address counts once it is confirmed: look into the mail that was sent there."),
    ]


class SessionAnswer(Struct, frozen=True, kw_only=True):
    """`used_at`: when tokens were last given out for it. `address`: from where that was."""

    id: UUID
    current: Annotated[bool, Meta(description="Whether it is the one that asks.")]
    user_agent: str
    address: str
    began_at: datetime
    used_at: datetime


class SessionList(Struct, frozen=True):
    items: list[SessionAnswer]


@post(
    "/password",
    dto=StrictBody[PasswordBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, RenewedAnswer, 401, 403, 409, 415, 422, 429),
)
async def change_password(
    data: JSONBody[PasswordBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> RenewedAnswer:
    """Take another password. All other sessions end, and whatever is open of them. 403: the password is wrong."""
    wish = ChangePassword(
        account=caller.account,
        session=caller.session,
        password=data.password,
        new_password=data.new_password,
    )
    return _renewed(caller, await parts.commands.run(wish, context), parts)


@post(
    "/email",
    dto=StrictBody[EmailBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, AddressAnswer, 401, 403, 409, 415, 422, 429),
)
async def change_email(
    data: JSONBody[EmailBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> AddressAnswer:
    """Go by another address; the one before is free for others. All other sessions end. 409: it is taken.

    Where addresses are confirmed: once it is. Then all sessions end, and nobody is told here whether it is taken.
    """
    wish = ChangeEmail(
        account=caller.account, session=caller.session, password=data.password, email=data.email
    )
    renewed: Renewed = await parts.commands.run(wish, context)
    answer = _renewed(caller, renewed, parts)
    return AddressAnswer(
        position=answer.position,
        access_token=answer.access_token,
        expires_in=answer.expires_in,
        mailed=renewed.mailed,
    )


@get("/sessions", responses=answers(200, SessionList, 401))
async def mine(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> SessionList:
    """Where you are logged in, the last used first."""
    rows = await open_sessions(caller.account, parts.commands.needs)
    return SessionList(
        [
            SessionAnswer(
                id=row.session,
                current=row.session == caller.session,
                user_agent=row.user_agent,
                address=row.address,
                began_at=row.began_at,
                used_at=row.used_at,
            )
            for row in rows
        ]
    )


@delete("/sessions/{session:uuid}", status_code=200, responses=answers(200, Moved, 401, 404))
async def end(
    session: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Log out one of your sessions: its tokens open nothing any more, and what is open of it is closed."""
    ended = SessionId(session)
    accepted = await parts.commands.run(EndSession(account=caller.account, session=ended), context)
    parts.ended.end(ended)
    return Moved(accepted.position)


@delete("/sessions", status_code=200, responses=answers(200, RenewedAnswer, 401))
async def end_others(
    parts: NamedDependency[Parts], caller: NamedDependency[Caller], context: NamedDependency[Context]
) -> RenewedAnswer:
    """Log out everywhere but here."""
    wish = EndOtherSessions(account=caller.account, session=caller.session)
    return _renewed(caller, await parts.commands.run(wish, context), parts)


def _renewed(caller: Caller, renewed: Renewed, parts: Parts) -> RenewedAnswer:
    parts.ended.renew(caller.account, renewed.epoch)
    return RenewedAnswer(
        position=renewed.accepted.position,
        access_token=renewed.access_token,
        expires_in=renewed.expires_in,
    )


ROUTER = Router("/auth", route_handlers=[change_password, change_email, mine, end, end_others], tags=["auth"])
