"""Sessions that are over although their access tokens still run: logged out, revoked, or of an erased account.

Followed in the log by every process that lets people in, so that nobody has to be asked at each request. What is
older than an access token lives is forgotten: such tokens have expired by themselves.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from commands.ports import Clock, LogUnavailableError
from domain.account import AccountErased, AccountLoggedOut, SessionRevoked
from domain.event import AnyRecorded, topic
from domain.ids import AccountId, Position, SessionId
from services.ports.dispatching import RunLog

logger = logging.getLogger(__name__)

TOPICS = frozenset({topic(AccountErased), topic(AccountLoggedOut), topic(SessionRevoked)})
PAGE = 1_000
POLL_S = 1.0  # a wake-up may be lost
REST_S = 0.25  # a busy log grows all the time
SKEW = timedelta(minutes=5)  # Postgres's clock may be behind ours, by which tokens expire
PAUSE_S = 0.5  # before Postgres is asked again


class TimedLog(RunLog, Protocol):
    async def position_at(self, at: datetime) -> Position:
        """The last position from before an instant."""


class EndedSessions:
    """What has ended lately, as this process knows. `run` keeps it up to date."""

    def __init__(self, log: TimedLog, now: Clock, token_lives: timedelta) -> None:
        self._log = log
        self._now = now
        self._kept = token_lives + SKEW
        self._position: Position | None = None
        self._ended: dict[UUID, datetime] = {}

    def is_over(self, *things: AccountId | SessionId) -> bool:
        """Whether one of them has ended. Nobody is let in before that is known: LogUnavailableError."""
        if self._position is None:
            raise LogUnavailableError("It is not known yet which sessions have ended.")
        return not self._ended.keys().isdisjoint(things)

    def end(self, thing: AccountId | SessionId) -> None:
        """This process has ended it just now: nobody need wait until the log says so."""
        self._ended[thing] = self._now()

    async def catch_up(self) -> None:
        """Raises LogUnavailableError."""
        position = self._position
        if position is None:
            position = await self._log.position_at(self._now() - self._kept)
        while True:
            page = await self._log.after(position, PAGE, TOPICS)
            self._take(page.events)
            position = page.upto
            if len(page.events) < PAGE:
                break
        self._position = position

    async def run(self) -> None:
        """Follow, for ever; Postgres may come and go."""
        while True:
            try:
                await self._log.grown(POLL_S)
                await self.catch_up()
                await asyncio.sleep(REST_S)
            except LogUnavailableError as error:
                logger.warning("which sessions end is unknown", extra={"reason": str(error)})
                await asyncio.sleep(PAUSE_S)

    async def begin(self) -> None:
        """Know what there is before the first request, where the log can be read."""
        with contextlib.suppress(LogUnavailableError):
            await self.catch_up()

    def _take(self, events: Sequence[AnyRecorded]) -> None:
        for recorded in events:
            match recorded.event:
                case AccountErased():
                    self._ended[recorded.stream] = recorded.at
                case AccountLoggedOut(session=session) | SessionRevoked(session=session):
                    self._ended[session] = recorded.at
        oldest = self._now() - self._kept
        if events:
            self._ended = {thing: at for thing, at in self._ended.items() if at >= oldest}
