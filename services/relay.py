"""The relay: every row of the log goes into the stream EVENTS, in order, once.

It saves no place of its own: it goes on behind the stream's last message. One relay leads; one that only
believes so is fenced by the stream.
"""

import asyncio
import logging
import math
from collections.abc import Sequence

from msgspec import Struct

from commands.ports import LogUnavailableError
from domain.ids import Position
from services.ports.relaying import (
    EventStream,
    FencedError,
    Leadership,
    LogTail,
    StoredRow,
    StreamUnavailableError,
)

logger = logging.getLogger(__name__)

LEADERSHIP = "relay"


class RelaySettings(Struct, frozen=True, kw_only=True):
    """`poll_s` is the longest that a lost wake-up, or a lost stream, stays unnoticed.

    `gather_s`: the pause after a publication of at least `gather_from` rows, and after each while at least
    `gather_rows_s` come in a second. Where many come, a few dozen at a time cost three times as much as a few hundred,
    and each for itself ten times as much, here, in NATS and for whoever listens.
    """

    batch: int = 1000
    poll_s: float = 1.0
    gather_s: float = 0.02
    gather_from: int = 16
    gather_rows_s: float = 250
    first_pause_s: float = 0.1
    longest_pause_s: float = 2.0


class Relay:
    """Runs until it is cancelled. `position` is the last event that is known to be in the stream."""

    def __init__(
        self,
        tail: LogTail,
        stream: EventStream,
        settings: RelaySettings = RelaySettings(),
        leadership: str = LEADERSHIP,
    ) -> None:
        self._leadership = leadership
        self._tail = tail
        self._stream = stream
        self._settings = settings
        self.position = Position(0)
        self.leading = False

    async def run(self) -> None:
        """Lead whenever nobody else does; whatever goes wrong, begin again at what the stream holds."""
        pause_s = self._settings.first_pause_s
        while True:
            before = self.position
            try:
                async with self._tail.leadership(self._leadership) as leadership:
                    self.leading = True
                    await self._lead(leadership)
            except FencedError as fenced:
                logger.warning("relay fenced", extra={"position": self.position, "reason": str(fenced)})
            except (StreamUnavailableError, LogUnavailableError) as error:
                logger.warning("relay waits", extra={"position": self.position, "reason": str(error)})
            except Exception:  # the outermost loop: nothing is lost by beginning again
                logger.exception("relay failed", extra={"position": self.position})
            finally:
                self.leading = False
            progressed = self.position != before
            pause_s = self._settings.first_pause_s if progressed else self._longer(pause_s)
            await asyncio.sleep(pause_s)

    async def _lead(self, leadership: Leadership) -> None:
        """Publish as the log grows. Returns when the leadership is lost."""
        await self._resync()
        logger.info("relay leads", extra={"position": self.position})
        while await leadership.held():
            await self._follow()
            if await self._ensure(self.position) != self.position:  # lost while nothing was published
                await self._resync()

    async def _follow(self) -> None:
        """Publish until the log has been silent for a while."""
        now = asyncio.get_running_loop().time
        pace = _Pace(now())
        while True:
            rows = await self._tail.rows(self.position, self._settings.batch)
            many = pace.with_rows(len(rows), now()) >= self._settings.gather_rows_s
            many = many or len(rows) >= self._settings.gather_from
            while rows:
                rows = await self._publish(rows)
            if many:
                await asyncio.sleep(self._settings.gather_s)
            silent_since = now()
            await self._tail.grown(self._settings.poll_s)
            if now() - silent_since >= self._settings.poll_s:
                return

    async def _publish(self, rows: Sequence[StoredRow]) -> Sequence[StoredRow]:
        """Returns the rows behind these: read meanwhile if there are likely to be any."""
        behind: Sequence[StoredRow] = ()
        if len(rows) < self._settings.batch:
            await self._stream.publish(rows)
        else:
            reading = self._tail.rows(rows[-1].position, self._settings.batch)
            behind, _ = await asyncio.gather(reading, self._stream.publish(rows))
        self.position = rows[-1].position
        return behind

    async def _resync(self) -> None:
        """Find the place to go on from; a stream that does not tell the log's story is made anew."""
        head = await self._tail.head()
        last = await self._ensure(head)
        doubtful = (Position(self.position + 1), last)  # where we were fenced, and its end
        for position in (place for place in doubtful if 0 < place <= last):
            if not await self._agrees(position):
                logger.warning("the stream is not this log's, made anew", extra={"position": position})
                await self._stream.forget()
                last = await self._ensure(head)
                break
        self.position = last

    async def _agrees(self, position: Position) -> bool:
        """Asked after the stream was looked at: another relay may have published what was appended since."""
        rows = await self._tail.rows(Position(position - 1), 1)
        return bool(rows) and await self._stream.holds(rows[0])

    async def _ensure(self, head: Position) -> Position:
        return await self._stream.ensure(await self._tail.identity(), head)

    def _longer(self, pause_s: float) -> float:
        return min(2 * pause_s, self._settings.longest_pause_s)


class _Pace:
    """How many rows come in a second, by the last quarter of one or so."""

    OVER_S = 0.25

    def __init__(self, now: float) -> None:
        self._rows, self._at = 0.0, now

    def with_rows(self, rows: int, now: float) -> float:
        self._rows = self._rows * math.exp((self._at - now) / self.OVER_S) + rows
        self._at = now
        return self._rows / self.OVER_S
