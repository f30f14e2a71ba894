"""Makes integrators' consumers for them.

They ask as they would ask JetStream, but the wish arrives here: a consumer of the kind that pushes could be pointed
at any subject of the account that holds the stream. Only pulling ones are made, within limits.
"""

import logging
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from nats.aio.msg import Msg

from adapters.nats.connection import Connection, Unreachable, never_raising
from adapters.nats.server_config import CREATE, FEED_API, FEED_STREAM
from commands.ports import LogUnavailableError
from services.ports.integrating import Asked, NatsAwayError

logger = logging.getLogger(__name__)

QUEUE = "consumers"
API_TIMEOUT_S = 5.0
REPLIES = "_R_."  # where the server puts answers to another account; any other would be somebody's trick
NS = 10**9
DAY_NS = 86_400 * NS
ANSWER_TYPE = "io.nats.jetstream.api.v1.consumer_create_response"
BAD_REQUEST, UNAVAILABLE = 400, 503
REFUSED = 10013  # JetStream's own number for a consumer that cannot be made

Count = Annotated[int, Meta(ge=-1, le=2**62)]
Off = Annotated[int, Meta(ge=0, le=0)]


class Config(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What may be wished for, in the spelling of JetStream's API; durations are in nanoseconds."""

    name: str = ""
    durable_name: str = ""
    description: Annotated[str, Meta(max_length=1024)] = ""
    deliver_policy: Literal["all", "last", "new", "by_start_sequence", "by_start_time"] = "all"
    opt_start_seq: Count | None = None
    opt_start_time: Annotated[str, Meta(max_length=64)] | None = None
    ack_policy: Literal["none", "all", "explicit"] = "none"
    ack_wait: Annotated[int, Meta(ge=0, le=DAY_NS)] = 0
    max_deliver: Count = -1
    backoff: Annotated[list[Annotated[int, Meta(ge=0, le=DAY_NS)]], Meta(max_length=32)] | None = None
    filter_subject: str = ""
    replay_policy: Literal["instant"] = "instant"
    max_waiting: Annotated[int, Meta(ge=0, le=512)] = 0
    max_ack_pending: Annotated[int, Meta(ge=-1, le=10_000)] = 0
    headers_only: bool | None = None
    inactive_threshold: Annotated[int, Meta(ge=0, le=30 * DAY_NS)] | None = None
    max_batch: Annotated[int, Meta(ge=0)] | None = None
    max_expires: Annotated[int, Meta(ge=0)] | None = None
    max_bytes: Annotated[int, Meta(ge=0)] | None = None
    metadata: Annotated[dict[str, Annotated[str, Meta(max_length=256)]], Meta(max_length=32)] | None = None
    # These are sent by clients with the only value that is good here.
    deliver_subject: Literal["", None] = None
    deliver_group: Literal["", None] = None
    flow_control: Literal[False, None] = None
    idle_heartbeat: Off | None = None
    filter_subjects: Annotated[list[str], Meta(max_length=0)] | None = None
    num_replicas: Off | None = None
    mem_storage: Literal[False, None] = None
    sample_freq: Literal["", None] = None
    rate_limit_bps: Off | None = None


class Wish(Struct, forbid_unknown_fields=True):
    stream_name: str
    config: Config
    action: Literal["", "create", "update"] = ""
    pedantic: bool = False


MAX_BATCH = (
    1000  # messages of one pull, so that a reader who stops reading holds up little of the server's memory
)
MAX_EXPIRES_NS = 300 * NS
MAX_PULL_BYTES = 8 * 1024 * 1024
UNUSED_NS = 30 * DAY_NS  # a consumer that nobody pulls from is forgotten


class _Names(Struct):
    consumers: list[str] | None = None
    total: int = 0


class NatsConsumers:
    """Answers wishes, and the Consumers port, over one connection of AUTH's user. Its owner closes the connection."""

    def __init__(self, connection: Connection, asked: Asked) -> None:
        self._connection = connection
        self._client = connection.client
        self._asked = asked

    async def serve(self) -> None:
        """Returns when wishes would be heard; they are, for as long as the connection is open."""
        await self._client.subscribe(f"{CREATE}.>", queue=QUEUE, cb=never_raising(CREATE, self._wished))
        await self._connection.settle()

    async def names(self) -> Sequence[str]:
        found: list[str] = []
        while True:
            body = msgspec.json.encode({"offset": len(found)})
            page = msgspec.json.decode(await self._api(f"NAMES.{FEED_STREAM}", body), type=_Names)
            found += page.consumers or []
            if not page.consumers or len(found) >= page.total:
                return found

    async def delete(self, name: str) -> None:
        await self._api(f"DELETE.{FEED_STREAM}.{name}", b"")

    async def _wished(self, request: Msg) -> None:
        if not request.reply.startswith(REPLIES):
            logger.warning("wish for a consumer with a foreign reply subject")
            return
        name, _, filter = request.subject.removeprefix(f"{CREATE}.").partition(".")
        try:
            grant = await self._asked(name)
            if grant is None or not any(within(filter, allowed) for allowed in grant.filters):
                answer = refusal(BAD_REQUEST, "this key may not read that")
            else:
                answer = await self._make(name, filter, request.data)
        except LogUnavailableError:
            answer = refusal(UNAVAILABLE, "keys cannot be checked at the moment")
        except NatsAwayError:
            answer = refusal(UNAVAILABLE, "the stream cannot be reached at the moment")
        try:
            await self._client.publish(request.reply, answer)
        except Unreachable as error:
            logger.warning("no way to answer a wish for a consumer", extra={"reason": repr(error)})

    async def _make(self, name: str, filter: str, body: bytes) -> bytes:
        try:
            wish = msgspec.json.decode(body, type=Wish)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return refusal(BAD_REQUEST, f"not a consumer that is made here: {error}"[:300])
        config = wish.config
        if {config.name or name, config.durable_name or name} != {name} or config.filter_subject != filter:
            return refusal(BAD_REQUEST, "name and filter must be those of the subject")
        if wish.stream_name != FEED_STREAM:
            return refusal(BAD_REQUEST, f"the stream is called {FEED_STREAM}")
        config.name = name
        config.max_batch = min(config.max_batch or MAX_BATCH, MAX_BATCH)
        config.max_expires = min(config.max_expires or MAX_EXPIRES_NS, MAX_EXPIRES_NS)
        config.max_bytes = min(config.max_bytes or MAX_PULL_BYTES, MAX_PULL_BYTES)
        config.inactive_threshold = config.inactive_threshold or UNUSED_NS
        return await self._api(f"CREATE.{FEED_STREAM}.{name}.{filter}", msgspec.json.encode(wish))

    async def _api(self, what: str, body: bytes) -> bytes:
        """Raises NatsAwayError."""
        try:
            answer = await self._client.request(f"{FEED_API}.{what}", body, timeout=API_TIMEOUT_S)
        except Unreachable as error:
            raise NatsAwayError(repr(error)) from error
        return bytes(answer.data)


def within(filter: str, allowed: str) -> bool:
    """Whether every subject that the first one matches is matched by the second one."""
    asked, limits = filter.split("."), allowed.split(".")
    for number, limit in enumerate(limits):
        if limit == ">":
            return len(asked) > number
        if number >= len(asked) or asked[number] == ">" or limit not in ("*", asked[number]):
            return False
    return len(asked) == len(limits)


def refusal(code: int, description: str) -> bytes:
    """An error in the form of JetStream's API."""
    error: dict[str, Any] = {"code": code, "err_code": REFUSED, "description": description}
    return msgspec.json.encode({"type": ANSWER_TYPE, "error": error})
