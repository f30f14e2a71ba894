"""A second factor: turned on with a first code, turned off with password and code."""

from typing import Annotated
from uuid import UUID

from litestar import Router, delete, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.sessions import Current
from commands.second_factor import BeginFactor, Begun, TurnedOn, TurnOffFactor, TurnOnFactor
from commands.streams import Context
from domain.ids import Position

Code = Annotated[str, Meta(min_length=1, max_length=40, examples=["123456"])]


class BeginBody(Struct, frozen=True, forbid_unknown_fields=True):
    password: Current


class TurnOnBody(Struct, frozen=True, forbid_unknown_fields=True):
    factor: UUID
    code: Code


class TurnOffBody(Struct, frozen=True, forbid_unknown_fields=True):
    password: Current
    code: Annotated[Code, Meta(description="Of the device, or a recovery code.")]


class BegunAnswer(Struct, frozen=True):
    """`uri`: to be shown as a QR code. `secret`: to be typed in."""

    factor: UUID
    secret: str
    uri: str


class TurnedOnAnswer(Struct, frozen=True):
    """`recovery_codes`: shown now and never again; each lets you in once, without the device."""

    position: Position
    recovery_codes: list[str]


@post(
    "/",
    dto=StrictBody[BeginBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, BegunAnswer, 401, 403, 409, 415, 422, 429),
)
async def begin(
    data: JSONBody[BeginBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> BegunAnswer:
    """Get a secret for your device. Nothing is asked for until `POST /auth/totp/on` has seen a code made of it."""
    wish = BeginFactor(account=caller.account, session=caller.session, password=data.password)
    begun: Begun = await parts.commands.run(wish, context)
    return BegunAnswer(begun.factor, begun.secret, begun.uri)


@post(
    "/on",
    dto=StrictBody[TurnOnBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, TurnedOnAnswer, 401, 403, 409, 415, 422, 429),
)
async def turn_on(
    data: JSONBody[TurnOnBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> TurnedOnAnswer:
    """From now on a code is asked for at each log-in. 403: the code is wrong."""
    wish = TurnOnFactor(account=caller.account, session=caller.session, factor=data.factor, code=data.code)
    done: TurnedOn = await parts.commands.run(wish, context)
    return TurnedOnAnswer(done.accepted.position, list(done.recovery_codes))


@delete(
    "/",
    dto=StrictBody[TurnOffBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, Moved, 401, 403, 415, 422, 429),
)
async def turn_off(
    data: JSONBody[TurnOffBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Log in with the password alone again. 403: password or code are wrong."""
    wish = TurnOffFactor(
        account=caller.account, session=caller.session, password=data.password, code=data.code
    )
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


ROUTER = Router("/auth/totp", route_handlers=[begin, turn_on, turn_off], tags=["auth"])
