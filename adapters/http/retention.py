"""How long an account's outputs are kept, and what is to go, before it goes."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from commands.outputs import ChooseRetention
from commands.streams import Context
from domain.handling import HANDLING, MAX_BYTES, MAX_DAYS, Retention, check_retention
from domain.ids import handling_id
from projections import run_status

MAX_AHEAD_DAYS = 365


class RetentionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is older than `days` goes, and the oldest when all are more than `size_bytes`. Null: that is no reason.

    `keep_starred`: what is starred stays for ever; it counts among all.
    """

    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] | None = None
    size_bytes: Annotated[int, Meta(ge=1, le=MAX_BYTES)] | None = None
    keep_starred: bool = True


class GoingOutput(Struct):
    """`old`: it is too old; else all are too many."""

    id: UUID
    run: UUID
    name: str
    size_bytes: int
    made_at: datetime
    old: bool


class RetentionAnswer(Struct):
    """`own`: you have chosen it. `going`: how many fall under it within `within_days`; `first`: 50 of them."""

    days: int | None
    size_bytes: int | None
    keep_starred: bool
    own: bool
    outputs: int
    outputs_bytes: int
    starred: int
    within_days: int
    going: int
    going_bytes: int
    first: list[GoingOutput]


@get("/accounts/me/retention", responses=answers(200, RetentionAnswer, 401, 422))
async def show(
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    within_days: Annotated[
        int, QueryParameter(ge=0, le=MAX_AHEAD_DAYS, description="From now.", examples=[])
    ] = 7,
    days: Annotated[int | None, QueryParameter(description="As if that were your rule.", examples=[])] = None,
    size_bytes: Annotated[
        int | None, QueryParameter(description="As if that were your rule.", examples=[])
    ] = None,
    keep_starred: Annotated[
        bool | None, QueryParameter(description="As if that were your rule.", examples=[])
    ] = None,
) -> RetentionAnswer:
    """What is to go by itself, before it goes: by your rule, or as if what is named here were your rule."""
    state, _ = await parts.commands.needs.streams.load(HANDLING, handling_id(caller.account))
    rule = parts.commands.needs.limits.retention if state.retention is None else state.retention
    if days is not None or size_bytes is not None or keep_starred is not None:
        rule = check_retention(
            Retention(days=days, size_bytes=size_bytes, keep_starred=keep_starred is not False)
        )
    at = parts.now() + timedelta(days=within_days)
    found = msgspec.json.decode(await reader.ask(run_status.going, caller.account, rule, at))
    return RetentionAnswer(
        days=rule.days,
        size_bytes=rule.size_bytes,
        keep_starred=rule.keep_starred,
        own=state.retention is not None,
        outputs=found["outputs"],
        outputs_bytes=found["size_bytes"],
        starred=found["starred"],
        within_days=within_days,
        going=found["going"],
        going_bytes=found["going_bytes"],
        first=msgspec.convert(found["first"], list[GoingOutput], strict=False),
    )


@put(
    "/accounts/me/retention",
    dto=StrictBody[RetentionBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, Moved, 401, 415, 422),
)
async def choose(
    data: JSONBody[RetentionBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Say what of your outputs goes by itself, from the next round on. GET with the same tells what that is."""
    rule = Retention(days=data.days, size_bytes=data.size_bytes, keep_starred=data.keep_starred)
    wish = ChooseRetention(by=caller.account, retention=rule)
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/accounts/me/retention", status_code=200, responses=answers(200, Moved, 401))
async def withdraw(
    parts: NamedDependency[Parts], caller: NamedDependency[Caller], context: NamedDependency[Context]
) -> Moved:
    """Have the rule again that all have who chose nothing."""
    wish = ChooseRetention(by=caller.account, retention=None)
    return Moved((await parts.commands.run(wish, context)).position)


ROUTER = Router("/", route_handlers=[show, choose, withdraw], tags=["outputs"])
