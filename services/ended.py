"""Sessions that are over although their access tokens still run: logged out, revoked, of an epoch that is over, or of
a suspended or erased account; and API keys that were revoked while somebody is connected by them.

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
from domain.account import (
    AccountErased,
    AccountLoggedOut,
    AccountReinstated,
    AccountSuspended,
    EmailChanged,
    PasswordChanged,
    SessionRevoked,
    SessionsEnded,
)
from domain.api_key import ApiKeyRevoked
from domain.event import AnyRecorded, topic
from domain.ids import AccountId, ApiKeyId, Position, SessionId
from services.ports.dispatching import RunLog

logger = logging.getLogger(__name__)

TOPICS = frozenset(
    topic(event)
    for event in (
        *(AccountErased, AccountLoggedOut, SessionRevoked, ApiKeyRevoked),
        *(PasswordChanged, EmailChanged, SessionsEnded, AccountSuspended, AccountReinstated),
    )
)
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
        self._epochs: dict[UUID, tuple[int, datetime]] = {}

    def is_over(
        self, account: AccountId, way: SessionId | ApiKeyId | None = None, epoch: int | None = None
    ) -> bool:
        """Whether one of them has ended. Nobody is let in before that is known: LogUnavailableError."""
        if self._position is None:
            raise LogUnavailableError("It is not known yet which sessions have ended.")
        if account in self._ended or way in self._ended:
            return True
        return epoch is not None and account in self._epochs and epoch < self._epochs[account][0]

    def end(self, thing: AccountId | SessionId) -> None:
        """This process has ended it just now: nobody need wait until the log says so."""
        self._ended[thing] = self._now()

    def renew(self, account: AccountId, epoch: int) -> None:
        """This process has begun another epoch just now."""
        self._begun(account, epoch, self._now())

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
                case AccountSuspended(epoch=epoch):
                    self._ended[recorded.stream] = recorded.at
                    self._begun(recorded.stream, epoch, recorded.at)
                case AccountReinstated():
                    self._ended.pop(recorded.stream, None)
                case AccountErased() | ApiKeyRevoked():
                    self._ended[recorded.stream] = recorded.at
                case AccountLoggedOut(session=session) | SessionRevoked(session=session):
                    self._ended[session] = recorded.at
                case PasswordChanged(epoch=epoch) | EmailChanged(epoch=epoch) | SessionsEnded(epoch=epoch):
                    self._begun(recorded.stream, epoch, recorded.at)
        oldest = self._now() - self._kept
        if events:
            self._ended = {thing: at for thing, at in self._ended.items() if at >= oldest}
            self._epochs = {thing: begun for thing, begun in self._epochs.items() if begun[1] >= oldest}

    def _begun(self, account: UUID, epoch: int, at: datetime) -> None:
        """A token outlives the last change before it was made by no more than its own life."""
        known = self._epochs.get(account, (0, at))
        self._epochs[account] = max(known, (epoch, at))
