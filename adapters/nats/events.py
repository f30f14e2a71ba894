"""The stream EVENTS: the log in NATS, where a message's sequence is its event's position.

Subject: `events.<kind>.<stream id>.<the rest of the topic>`, so `run.output_stored.v1` of a run is
`events.run.<id>.output_stored.v1`: `events.run.>` is all of one kind, `events.*.<id>.>` one stream, and
`events.run.*.output_stored.*` one fact in all its forms.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from uuid import UUID

from msgspec import Struct
from nats.js import JetStreamContext
from nats.js.api import (
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError, NotFoundError

from adapters.nats import cloud_event
from adapters.nats.connection import Connection, Unreachable
from adapters.nats.publisher import Message, Publisher, PublishError, UnacknowledgedError
from domain.event import kind
from domain.ids import Position
from services.ports.relaying import FencedError, StoredRow, StreamUnavailableError

logger = logging.getLogger(__name__)

STREAM = "EVENTS"
SUBJECTS = "events.>"
LOG_KEY = "comfyplus.log"
AT_ONCE = 1_000  # rows; the server drops what comes when ten times as many wait to be stored
API_TIMEOUT_S = 5.0
WRONG_LAST_SEQUENCE = 10071
WRONG_LAST_ID = 10070


class EventsSettings(Struct, frozen=True, kw_only=True):
    """What is kept. `refill` bounds how many of the last events a stream that is made anew begins with."""

    max_age_s: float = 30 * 24 * 3600
    max_bytes: int = 16 * 1024**3
    max_consumers: int = 10_000
    duplicate_window_s: float = 120
    replicas: int = 1
    refill: int | None = None


class Publication(Struct, frozen=True, kw_only=True):
    """What is published of each row. Every row is: so the sequence is the position, whatever is told of it.

    `message`: subject, body and further header lines. `same`: whether a stored body and its headers are a row's.
    """

    subjects: tuple[str, ...]
    message: Callable[[StoredRow, UUID], tuple[str, bytes, str]]
    same: Callable[[bytes, Mapping[str, str], StoredRow, UUID], bool]


def _domain_message(row: StoredRow, log: UUID) -> tuple[str, bytes, str]:
    return subject(row.topic, row.stream), cloud_event.encode(row, cloud_event.source(log)), CONTENT


CONTENT = f"Content-Type: {cloud_event.CONTENT_TYPE}\r\n"
DOMAIN = Publication(
    subjects=(SUBJECTS,),
    message=_domain_message,
    same=lambda body, _, row, log: body == cloud_event.encode(row, cloud_event.source(log)),
)
"""The events as they are, for ourselves."""


class NatsEventStream:
    """EventStream over one connection. Its owner closes the connection."""

    def __init__(
        self,
        connection: Connection,
        settings: EventsSettings = EventsSettings(),
        publication: Publication = DOMAIN,
    ) -> None:
        self._publication = publication
        self._settings = settings
        self._jetstream: JetStreamContext = connection.client.jetstream(timeout=API_TIMEOUT_S)
        self._publisher = Publisher(connection)
        self._opened = False
        self._log, self._log_name = UUID(int=0), ""

    async def ensure(self, log: UUID, head: Position) -> Position:
        self._log, self._log_name = log, str(log)
        try:
            await self._open()
            info = await self._info()
            if info is not None and (info.config.metadata or {}).get(LOG_KEY) != str(log):
                logger.warning("the stream is another log's, made anew", extra={"stream": STREAM})
                await self.forget()
                info = None
            if info is None:
                info = await self._make(head)
            elif not self._fits(info):
                info = await self._jetstream.update_stream(self._config(first=None))
            return Position(info.state.last_seq)
        except (*Unreachable, APIError) as error:
            raise StreamUnavailableError(repr(error)) from error

    async def holds(self, row: StoredRow) -> bool:
        try:
            # Not directly: a stream that was just made anew has been seen to leave that without an answer.
            message = await self._jetstream.get_msg(STREAM, seq=row.position)
        except NotFoundError:
            return True  # it has aged away: nothing speaks against it
        except (*Unreachable, APIError) as error:
            raise StreamUnavailableError(repr(error)) from error
        return self._publication.same(message.data or b"", message.headers or {}, row, self._log)

    async def forget(self) -> None:
        try:
            await self._jetstream.delete_stream(STREAM)
        except NotFoundError:
            pass
        except (*Unreachable, APIError) as error:
            raise StreamUnavailableError(repr(error)) from error

    async def publish(self, rows: Sequence[StoredRow]) -> None:
        assert all(after.position == before.position + 1 for before, after in pairwise(rows))
        try:
            for start in range(0, len(rows), AT_ONCE):
                first, *others = rows[start : start + AT_ONCE]
                messages = [self._message(first), *(self._message(row, chained=True) for row in others)]
                await self._publisher.send(messages)
        except PublishError as error:
            if error.err_code in (WRONG_LAST_SEQUENCE, WRONG_LAST_ID):
                raise FencedError(str(error)) from error
            raise StreamUnavailableError(str(error)) from error
        except UnacknowledgedError as error:
            raise StreamUnavailableError(str(error)) from error

    def _message(self, row: StoredRow, *, chained: bool = False) -> Message:
        """`chained`: behind one of the same breath. Its sequence alone might be a stranger's, who came between."""
        to, body, more = self._publication.message(row, self._log)
        fence = f"Nats-Expected-Last-Sequence: {row.position - 1}\r\n"
        if chained:
            fence += f"Nats-Expected-Last-Msg-Id: {self._log_name}:{row.position - 1}\r\n"
        return Message(to, body, f"{more}Nats-Msg-Id: {self._log_name}:{row.position}\r\n{fence}".encode())

    async def _open(self) -> None:
        if not self._opened:
            await self._publisher.open()
            self._opened = True

    async def _info(self) -> StreamInfo | None:
        try:
            return await self._jetstream.stream_info(STREAM)
        except NotFoundError:
            return None

    async def _make(self, head: Position) -> StreamInfo:
        refill = self._settings.refill
        first = 1 if refill is None else max(1, head - refill + 1)
        logger.info("stream made", extra={"stream": STREAM, "first": first, "log_head": head})
        return await self._jetstream.add_stream(self._config(first=first))

    def _fits(self, info: StreamInfo) -> bool:
        have, want = info.config, self._settings
        return (
            have.max_age == want.max_age_s
            and have.max_bytes == want.max_bytes
            and have.max_consumers == want.max_consumers
            and have.duplicate_window == want.duplicate_window_s
            and have.num_replicas == want.replicas
        )

    def _config(self, *, first: int | None) -> StreamConfig:
        settings = self._settings
        return StreamConfig(
            name=STREAM,
            subjects=list(self._publication.subjects),
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_age=settings.max_age_s,
            max_bytes=settings.max_bytes,
            max_consumers=settings.max_consumers,
            duplicate_window=settings.duplicate_window_s,
            num_replicas=settings.replicas,
            first_seq=first,
            deny_delete=True,
            deny_purge=True,
            allow_direct=True,
            compression=StoreCompression.S2,
            metadata={LOG_KEY: str(self._log)},
        )


def subject(topic: str, stream: UUID) -> str:
    """Where the events of a stream are published."""
    name = kind(topic)
    return f"events.{name}.{stream}{topic[len(name) :]}"
