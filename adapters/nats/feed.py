"""New events as they are published, for the builders of read models: fast, and silent when NATS is away.

Nothing is acknowledged: the checkpoint stands beside the rows. After any doubt the consumer is made anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

from nats.js.errors import Error as JetStreamError

from adapters.nats.cloud_event import ForeignMessageError, OtherLogError, decode, source
from adapters.nats.connection import Connection, Unreachable
from adapters.nats.events import STREAM
from adapters.nats.pull import HELD, Pull
from commands.ports import LogUnavailableError
from domain.catalogue import CATALOGUE, Catalogue
from domain.event import AnyRecorded
from domain.ids import Position

logger = logging.getLogger(__name__)

MOST = 1000  # events handed out at once
Identity: TypeAlias = Callable[[], Awaitable[UUID]]

PAUSE_S = 0.2  # before NATS is asked again for a consumer that it could not give


class NatsFeed:
    """Feed over one connection, for one reader. Its owner closes the connection."""

    def __init__(
        self, connection: Connection, catalogue: Catalogue = CATALOGUE, identity: Identity | None = None
    ) -> None:
        """`identity` tells which log's events are wanted: after a restore the stream may be that of before."""
        self._connection = connection
        self._catalogue = catalogue
        self._identity = identity
        self._source: str | None = None
        self._pull: Pull | None = None
        self._given = Position(0)
        connection.on_lost(self._lost)

    async def next(self, after: Position, timeout_s: float) -> list[AnyRecorded]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            pull = await self._pulling(after)
            if pull is None:
                await asyncio.sleep(max(0, min(PAUSE_S, deadline - loop.time())))
            else:
                await pull.arrival(deadline)
                if events := self._take(pull, after):
                    return events
                if pull.broken:
                    await asyncio.sleep(max(0, min(PAUSE_S, deadline - loop.time())))
            if loop.time() >= deadline:
                return []

    async def close(self) -> None:
        if self._pull is not None:
            await self._pull.close()
            self._pull = None

    async def _pulling(self, after: Position) -> Pull | None:
        """The consumer that goes on behind `after`: the one there is, or a new one if NATS gives it."""
        pull = self._pull
        if pull is not None and not pull.broken and self._given <= after <= pull.last + HELD:
            return pull
        await self.close()
        if not self._connection.connected:
            return None
        pull = Pull(self._connection, STREAM, after)
        try:
            if self._identity is not None:
                self._source = source(await self._identity())
            await pull.open()
        except (*Unreachable, JetStreamError, LogUnavailableError) as error:
            logger.info("no consumer", extra={"after": after, "reason": repr(error)})
            await pull.close()
            return None
        self._pull, self._given = pull, after
        return pull

    def _take(self, pull: Pull, after: Position) -> list[AnyRecorded]:
        events: list[AnyRecorded] = []
        while pull.waiting and len(events) < MOST:
            position, body = pull.waiting[0]
            if position > after:
                try:
                    events.append(decode(body, position, self._catalogue, self._source))
                except OtherLogError as error:
                    logger.warning("the stream is another log's", extra={"reason": str(error)})
                    pull.waiting.clear()
                    pull.drop()
                    break
                except ForeignMessageError:  # a gap, then: the log says what belongs there
                    logger.exception("foreign message in the stream", extra={"position": position})
            pull.waiting.popleft()
        if events:
            self._given = events[-1].position
        return events

    def _lost(self) -> None:
        if self._pull is not None:
            self._pull.drop()
