"""Accounts at the door: register, log in, stay logged in, log out."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, answers
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.accounts import Client, LogIn, LogOut, Refresh, RegisterAccount, Tokens
from commands.known_accounts import email_stream, known
from commands.streams import Context
from domain.ids import Position
from domain.refusals import NotAuthenticated

Username = Annotated[
    str, Meta(description="3 to 40 letters, digits, dots, dashes, underscores.", examples=["ann"])
]
Email = Annotated[str, Meta(examples=["ann@example.org"])]
Password = Annotated[str, Meta(description="8 to 200 characters.", examples=["correct horse battery"])]


MAX_USER_AGENT = 300


class RegisterBody(Struct, frozen=True, forbid_unknown_fields=True):
    username: Username
    email: Email
    password: Password


class LogInBody(Struct, frozen=True, forbid_unknown_fields=True):
    login: Annotated[str, Meta(description="Username or e-mail address.", examples=["ann"])]
    password: Password
    code: Annotated[
        str, Meta(max_length=40, description="Of the second factor, or a recovery code.", examples=[""])
    ] = ""


class RefreshBody(Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: str


class RegisteredAnswer(Struct, frozen=True):
    id: UUID
    username: str
    position: Annotated[int, Meta(description="Send it as Consistent-With to read your own write.")]


class Me(Struct, frozen=True):
    id: UUID
    username: str
    email: str
    email_confirmed: bool
    second_factor: bool
    has_password: bool
    provider_linked: Annotated[bool, Meta(description="An identity of the provider lets you in.")]


class Moved(Struct, frozen=True):
    """A wish was granted. `position` is its event's place in the log; 0 when nothing had to change."""

    position: Position


@post(
    "/register",
    dto=StrictBody[RegisterBody],
    return_dto=None,
    security=ANYBODY,
    responses=answers(201, RegisteredAnswer, 409, 415, 422, 429),
)
async def register(
    request: Request[Any, Any, Any],
    data: JSONBody[RegisterBody],
    parts: NamedDependency[Parts],
    joining_context: NamedDependency[Context],
) -> RegisteredAnswer:
    """Join. 409 when the username or the e-mail address is taken.

    Where addresses are confirmed, it is not told whether one is taken: it counts, for logging in and for mails, once it
    is confirmed; until then the username does."""
    wish = RegisterAccount(
        username=data.username, email=data.email, password=data.password, address=client(request).address
    )
    registered = await parts.commands.run(wish, joining_context)
    return RegisteredAnswer(registered.id, registered.username, registered.accepted.position)


@post(
    "/login",
    dto=StrictBody[LogInBody],
    return_dto=None,
    status_code=200,
    security=ANYBODY,
    responses=answers(200, Tokens, 401, 415, 422, 429),
)
async def log_in(
    request: Request[Any, Any, Any],
    data: JSONBody[LogInBody],
    parts: NamedDependency[Parts],
    anonymous_context: NamedDependency[Context],
) -> Tokens:
    """Get an access token and a refresh token. 401 for an unknown login and for a wrong password alike.

    401 of the type `code-needed`: the password is right; send it again with the code that the device shows.
    """
    wish = LogIn(login=data.login, password=data.password, code=data.code, client=client(request))
    tokens: Tokens = await parts.commands.run(wish, anonymous_context)
    return tokens


@post(
    "/refresh",
    dto=StrictBody[RefreshBody],
    return_dto=None,
    status_code=200,
    security=ANYBODY,
    responses=answers(200, Tokens, 401, 415, 422),
)
async def refresh(
    request: Request[Any, Any, Any],
    data: JSONBody[RefreshBody],
    parts: NamedDependency[Parts],
    anonymous_context: NamedDependency[Context],
) -> Tokens:
    """Exchange a refresh token. Each works once; a second use ends the session."""
    wish = Refresh(refresh_token=data.refresh_token, client=client(request))
    tokens: Tokens = await parts.commands.run(wish, anonymous_context)
    return tokens


@post("/logout", status_code=200, responses=answers(200, Moved, 401))
async def log_out(
    parts: NamedDependency[Parts], leaver: NamedDependency[Caller], leaving_context: NamedDependency[Context]
) -> Moved:
    """End this session: neither its access token nor its refresh tokens open anything any more."""
    wish = LogOut(account=leaver.account, session=leaver.session)
    accepted = await parts.commands.run(wish, leaving_context)
    parts.ended.end(leaver.session)
    return Moved(accepted.position)


@get("/me", responses=answers(200, Me, 401))
async def me(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> Me:
    """Who am I?"""
    found = await known(caller.account, parts.commands.needs)
    if found.credentials is None:
        raise NotAuthenticated("This account does not exist (any more).")
    needs = parts.commands.needs
    confirmed = found.state.confirmed == email_stream(found, needs)
    names = found.credentials.username, found.email
    ways = found.has_password, found.state.identity is not None
    return Me(caller.account, *names, confirmed, found.state.factor is not None, *ways)


def client(request: Request[Any, Any, Any]) -> Client:
    return client_of(request.headers.get("user-agent", ""), request.client.host if request.client else "")


def client_of(user_agent: str, address: str) -> Client:
    """What it says it is, shortened and without control characters, and where it comes from."""
    said = "".join(letter for letter in user_agent if letter.isprintable())
    return Client(said[:MAX_USER_AGENT], address)


ROUTER = Router("/auth", route_handlers=[register, log_in, refresh, log_out, me], tags=["auth"])
