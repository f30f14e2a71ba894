"""One's own account: to be forgotten, and to take everything along before that."""

from typing import Annotated, Literal

from litestar import Response, Router, delete
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.erasure import EraseAccount
from commands.streams import Context
from domain.ids import Position
from projections.catalogue import PROJECTIONS


class EraseBody(Struct, frozen=True, forbid_unknown_fields=True):
    password: Annotated[str, Meta(description="Yours, once more.", examples=["correct horse battery"])]
    published: Annotated[
        Literal["keep", "delete"],
        Meta(description="Your published workflows: they stay under `deleted account`, or go as well."),
    ] = "keep"


class ErasedAnswer(Struct, frozen=True):
    """`position`: of the last event of it; 0 when it had been done already."""

    position: Position


@delete(
    "/me",
    dto=StrictBody[EraseBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, ErasedAnswer, 401, 403, 409, 415, 422, 429) | answers(202, ErasedAnswer),
)
async def erase(
    data: JSONBody[EraseBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[ErasedAnswer]:
    """Forget this account for good. Nothing brings it back.

    Your name, address, password, sessions and keys are gone when this answers, and everybody may take the name. What
    you did stays in the history, done by nobody one could name. Runs are cancelled and workflows and files deleted
    soon after. 202: the views still catch up with `position`. 403: the password is wrong.
    """
    wish = EraseAccount(
        account=caller.account,
        session=caller.session,
        password=data.password,
        with_published=data.published == "delete",
    )
    accepted = await parts.commands.run(wish, context)
    parts.ended.end(caller.account)
    positions = parts.reads.positions
    there = await positions.reach(PROJECTIONS, accepted.position, parts.reads.catch_up_s)
    return Response(ErasedAnswer(accepted.position), status_code=200 if there else 202)


ROUTER = Router("/accounts", route_handlers=[erase], tags=["accounts"])
