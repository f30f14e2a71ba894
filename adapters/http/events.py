"""Events for integrators: the log itself, for what is older than their stream, and where the stream is."""

from typing import Annotated, TypeAlias

import msgspec
from litestar import MediaType, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Meta, Raw, Struct

from adapters.http.answers import answers
from adapters.http.callers import BY_KEY, Caller
from adapters.http.parts import Parts
from adapters.http.problems import NotYet
from commands.webhooks import TYPES
from domain.api_key import Scope
from domain.ids import AccountId, Position
from domain.public import public
from domain.refusals import FieldError, Invalid, NotAllowed
from domain.webhook import named
from services.telling import public_type, told

MAX_LIMIT = 1000
MAX_POSITION = 2**62
MAX_TYPES = 64
FOLLOWING = (Scope.EVENTS, Scope.ALL_EVENTS)
Types: TypeAlias = Annotated[
    str | None,
    QueryParameter(description="Types of events, or kinds as `run.*`, with commas between; left out: all."),
]


class EventsPage(Struct, frozen=True):
    """`position`: ask for what is behind it next. `end`: there is no more at the moment."""

    events: Annotated[list[Raw], Meta(description="CloudEvents 1.0; see /schema/asyncapi.json.")]
    position: Position
    end: bool


class EventsAnswer(Struct, frozen=True):
    """EventsPage as it is described: each event is an object."""

    events: list[dict[str, object]]
    position: int
    end: bool


class NatsAnswer(Struct, frozen=True):
    """How a key's programs follow events over NATS: log in with the key as token, make one of these consumers."""

    url: str
    stream: str
    domain: Annotated[str, Meta(description="The JetStream domain to name, or `$JS.<domain>.API` as prefix.")]
    inbox_prefix: str
    consumers: Annotated[tuple[str, ...], Meta(description="Durable consumers are called one of these.")]
    filters: Annotated[tuple[str, ...], Meta(description="Each consumer has one, or a narrower one.")]


@get("/", opt={BY_KEY: FOLLOWING}, responses=answers(200, EventsAnswer, 401, 403, 422))
async def events(
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    after: FromQuery[int] = 0,
    limit: FromQuery[int] = 100,
    types: Types = None,
) -> Response[bytes]:
    """Events behind a position, in order: your own and everybody's public ones; all, with a key for `events:all`.

    A page may hold fewer events than `limit`, or none: go on from its `position` until it says `end`.
    """
    wanted = _checked(after, limit, types)
    account: AccountId | None = None if Scope.ALL_EVENTS in caller.scopes else caller.account
    log = await parts.told.identity()
    page = await parts.told.page(Position(after), limit, account)
    bodies = [
        Raw(body)
        for recorded in page.events
        if (event := public(recorded)) is not None
        and named(wanted, public_type(type(event)))
        and (body := told(recorded, log)) is not None
    ]
    answer = EventsPage(bodies, page.upto, page.upto >= page.head)
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON)


@get("/nats", opt={BY_KEY: FOLLOWING}, responses=answers(200, NatsAnswer, 401, 403))
async def over_nats(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> NatsAnswer:
    """How this key follows events over NATS. Asked with the key itself."""
    if caller.key is None:
        raise NotAllowed("Ask with the API key itself, not with an access token.")
    if parts.integration is None:
        raise NotYet("This installation does not let integrators in over NATS.")
    grant = parts.integration.grant(caller.key)
    assert grant is not None  # the route asked for the scope
    return NatsAnswer(
        url=parts.integration.url,
        stream=parts.integration.stream,
        domain=parts.integration.domain,
        inbox_prefix=grant.inbox,
        consumers=grant.consumers,
        filters=grant.filters,
    )


def _checked(after: int, limit: int, types: str | None) -> tuple[str, ...]:
    """Raises Invalid."""
    errors = []
    if not 0 <= after <= MAX_POSITION:
        errors.append(FieldError("after", "It must be a position, 0 or more."))
    if not 1 <= limit <= MAX_LIMIT:
        errors.append(FieldError("limit", f"It must be 1 to {MAX_LIMIT}."))
    wanted = tuple(types.split(",")) if types else ()
    if len(wanted) > MAX_TYPES or any(not any(named((each,), type) for type in TYPES) for each in wanted):
        errors.append(FieldError("types", "It names a type that there is not."))
    if errors:
        raise Invalid("The events cannot be listed like this.", *errors)
    return wanted


ROUTER = Router("/events", route_handlers=[events, over_nats], tags=["events"])
