"""One reader's queue of what happens to a run: short, and never full of old progress."""

import asyncio
from collections import deque

from domain.ids import Position, RunId
from services.ports.watching import FactSeen, GapFeared, NodesSeen, PreviewSeen, Sighting, StepSeen

MAX_PROGRESS = 32  # waiting for one watcher: some seconds of it
MAX_WAITING = 5_000  # facts: who has not read those is not reading


class QueueWatcher:
    """Watcher. Facts are few and wait as long as they must; of progress the oldest is discarded.

    Of each run one picture waits, the newest.
    """

    def __init__(self, max_progress: int = MAX_PROGRESS) -> None:
        self._max_progress = max_progress
        self._waiting: deque[Sighting] = deque()
        self._progress = 0
        self._position = Position(0)
        self._arrived = asyncio.Event()
        self.stopped = False
        self.overrun = False

    async def next(self, timeout_s: float) -> Sighting | None:
        if not self._waiting and not self.stopped:
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        if self.stopped or not self._waiting:
            return None
        seen = self._waiting.popleft()
        self._progress -= isinstance(seen, StepSeen | PreviewSeen | NodesSeen)
        return seen

    @property
    def waits(self) -> bool:
        return bool(self._waiting) and not self.stopped

    def stop(self) -> None:
        self.stopped = True
        self._arrived.set()

    def nudge(self) -> None:
        self._arrived.set()

    def put(self, seen: Sighting) -> None:
        match seen:
            case FactSeen(recorded=recorded):
                if recorded.position <= self._position:
                    return  # the relay says things again after an outage
                self._position = recorded.position
            case StepSeen() | PreviewSeen() | NodesSeen():
                if isinstance(seen, PreviewSeen):
                    self._forget_picture(seen.run)
                self._make_room()
                self._progress += 1
            case GapFeared():
                pass
        self._waiting.append(seen)
        self._arrived.set()
        if len(self._waiting) > MAX_WAITING:
            self.overrun = True
            self.stop()

    def _forget_picture(self, run: RunId | None) -> None:
        """A newer one says more, and hundreds of them are a lot of memory."""
        for place, waiting in enumerate(self._waiting):
            if isinstance(waiting, PreviewSeen) and waiting.run == run:
                del self._waiting[place]
                self._progress -= 1
                return

    def _make_room(self) -> None:
        """Pictures go first: they are large, and the next step says more."""
        if self._progress < self._max_progress:
            return
        for kind in (PreviewSeen, StepSeen, NodesSeen):
            place = next((n for n, seen in enumerate(self._waiting) if isinstance(seen, kind)), None)
            if place is not None:
                del self._waiting[place]
                self._progress -= 1
                return
