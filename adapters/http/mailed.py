"""What is done by mail: another password for who has forgotten it, an address confirmed.

Whether an address has an account is told by mail only: the answer comes before anybody looks.
"""

import logging
from typing import Annotated, Any

from litestar import Request, Response, Router, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, answers
from adapters.http.auth import Email, Moved, Password, client
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.mailing import (
    AskConfirmation,
    Confirmed,
    ConfirmEmail,
    ForgetPassword,
    Reset,
    ResetPassword,
    may_be_mailed,
)
from commands.ports import LogUnavailableError
from commands.streams import Context

logger = logging.getLogger(__name__)

Token = Annotated[str, Meta(min_length=1, max_length=200, description="Out of the mail.")]


class ForgottenBody(Struct, frozen=True, forbid_unknown_fields=True):
    email: Email


class ResetBody(Struct, frozen=True, forbid_unknown_fields=True):
    token: Token
    new_password: Password


class ConfirmBody(Struct, frozen=True, forbid_unknown_fields=True):
    token: Token


class MailedAnswer(Struct, frozen=True):
    """A mail is on its way, where there is somebody to send it to."""

    mailed: bool = True


@post(
    "/password/forgotten",
    dto=StrictBody[ForgottenBody],
    return_dto=None,
    status_code=202,
    security=ANYBODY,
    responses=answers(202, MailedAnswer, 415, 422, 429),
)
async def forgotten(
    request: Request[Any, Any, Any],
    data: JSONBody[ForgottenBody],
    parts: NamedDependency[Parts],
    anonymous_context: NamedDependency[Context],
) -> Response[MailedAnswer]:
    """Ask for a mail that lets you take another password. The answer is the same for an address that nobody has."""
    address = client(request).address
    await may_be_mailed(data.email, address, parts.commands.needs)
    wish = ForgetPassword(email=data.email, address=address)
    looking = BackgroundTask(_mail, parts, wish, anonymous_context)
    return Response(MailedAnswer(), status_code=202, background=looking)


@post(
    "/password/reset",
    dto=StrictBody[ResetBody],
    return_dto=None,
    status_code=200,
    security=ANYBODY,
    responses=answers(200, Moved, 401, 415, 422, 429),
)
async def reset(
    data: JSONBody[ResetBody],
    parts: NamedDependency[Parts],
    joining_context: NamedDependency[Context],
) -> Moved:
    """Take another password with the token out of the mail. All sessions end. 401: it was used, or is too old."""
    wish = ResetPassword(token=data.token, new_password=data.new_password)
    done: Reset = await parts.commands.run(wish, joining_context)
    parts.ended.renew(done.account, done.epoch)
    return Moved(done.accepted.position)


@post("/email/confirmation", status_code=202, responses=answers(202, MailedAnswer, 401, 429))
async def ask_confirmation(
    parts: NamedDependency[Parts], caller: NamedDependency[Caller], context: NamedDependency[Context]
) -> MailedAnswer:
    """Ask for a mail that lets you show that the address is yours."""
    await parts.commands.run(AskConfirmation(account=caller.account), context)
    return MailedAnswer()


@post(
    "/email/confirm",
    dto=StrictBody[ConfirmBody],
    return_dto=None,
    status_code=200,
    security=ANYBODY,
    responses=answers(200, Moved, 401, 409, 415, 422),
)
async def confirm(
    data: JSONBody[ConfirmBody],
    parts: NamedDependency[Parts],
    joining_context: NamedDependency[Context],
) -> Moved:
    """Show with the token out of the mail that the address is yours. If you have wished for it in place of another, you
    go by it from now on, and all sessions end. 401: it was used, or is too old; 409: the address has become somebody
    else's meanwhile."""
    done: Confirmed = await parts.commands.run(ConfirmEmail(token=data.token), joining_context)
    if done.account is not None:
        parts.ended.renew(done.account, done.epoch)
    return Moved(done.accepted.position)


async def _mail(parts: Parts, wish: ForgetPassword, context: Context) -> None:
    """After the answer: nobody is left to be told of a fault."""
    try:
        await parts.commands.run(wish, context)
    except LogUnavailableError:
        logger.warning("a mail was not written")


ROUTER = Router("/auth", route_handlers=[forgotten, reset, ask_confirmation, confirm], tags=["auth"])
