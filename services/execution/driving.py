"""The backends that an executor drives: its own, and those it is ordered to drive, for as long as it is."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol
from uuid import UUID

from services.execution.health import Health
from services.execution.lane import Lane
from services.execution.needs import Needs
from services.ports.backend import BackendLink
from services.ports.executing import EndedAs, Settled, Submitting
from services.ports.messages import BackendOrder, BackendState

logger = logging.getLogger(__name__)

TAKEN_AWAY = "The backend was taken away."


class UnknownKindError(Exception):
    """A backend of a kind that this executor does not know: it is older than dispatch."""


class Connect(Protocol):
    """Makes the line to a backend that an order names. Raises UnknownKindError."""

    def __call__(self, order: BackendOrder) -> BackendLink: ...


class Driven:
    """One backend with its lane, and the tasks that move it."""

    def __init__(self, lane: Lane, order: BackendOrder | None, slots: int) -> None:
        self.lane = lane
        self.order = order
        self._slots = slots
        self._around: list[asyncio.Task[None]] = []
        self._work: list[asyncio.Task[None]] = []

    @property
    def state(self) -> BackendState:
        return self.lane.health.state

    def listen(self, ended: Callable[[asyncio.Task[None]], None]) -> None:
        """`ended` is called when a task has ended, which none does by itself but for a fault or a closed lane."""
        self._start(self._around, ended, self.lane.health.run(), self.lane.link.listen(self.lane.hear))

    def begin(self, ended: Callable[[asyncio.Task[None]], None]) -> None:
        around = (self.lane.watch.look(), self.lane.watch.time(), self.lane.stock.run())
        self._start(self._around, ended, *around)
        self._start(self._work, ended, *(self.lane.run() for _ in range(self._slots)))

    async def finished(self) -> None:
        """Until the lane, which was closed, has nothing any more."""
        if self._work:
            await asyncio.wait(self._work)

    async def end(self) -> None:
        tasks = [*self._work, *self._around]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(
        self,
        among: list[asyncio.Task[None]],
        ended: Callable[[asyncio.Task[None]], None],
        *works: Coroutine[Any, Any, None],
    ) -> None:
        for work in works:
            task = asyncio.create_task(work)
            task.add_done_callback(ended)
            among.append(task)


class Fleet(Mapping[str, Driven]):
    """By the backends' names. `changed`: the health of one is another. `failed` raises what ended a task."""

    def __init__(
        self,
        needs: Needs,
        links: Sequence[BackendLink],
        connect: Connect | None,
        *,
        changed: Callable[[], None],
        claim_uncertain: Callable[[], None],
    ) -> None:
        self._needs = needs
        self._connect = connect
        self._changed = changed
        self._claim_uncertain = claim_uncertain
        self._begun = self._closed = False
        self._retiring: dict[str, asyncio.Task[None]] = {}
        self._strange: set[UUID] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._driven = {link.name: self._driving(link, None) for link in links}

    def __getitem__(self, name: str) -> Driven:
        return self._driven[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._driven))

    def __len__(self) -> int:
        return len(self._driven)

    @property
    def willing(self) -> bool:
        """Whether registered backends may be given to us."""
        return self._connect is not None and not self._closed

    def states(self) -> tuple[BackendState, ...]:
        return tuple(driven.state for driven in self._driven.values())

    def lane(self, name: str) -> Lane | None:
        driven = self._driven.get(name)
        return None if driven is None else driven.lane

    def listen(self) -> None:
        for driven in self._driven.values():
            driven.listen(self._ended)

    def begin(self) -> None:
        self._begun = True
        for driven in self._driven.values():
            driven.begin(self._ended)

    def wake(self) -> None:
        for driven in self._driven.values():
            driven.lane.wake()

    async def failed(self) -> None:
        await asyncio.shield(self._failure)

    def obey(self, orders: Sequence[BackendOrder]) -> None:
        """Drive these, and none of those that were ordered before."""
        if self._connect is None or self._closed:
            return
        wanted = {order.name: order for order in orders}
        for name, driven in list(self._driven.items()):
            if driven.order is not None and driven.order != wanted.get(name) and name not in self._retiring:
                self._retire(name, driven, at_once=name not in wanted)
        for name, order in wanted.items():
            if name not in self._driven and order.access not in self._strange:
                self._take_on(order)

    async def drain(self, timeout_s: float, reason: str) -> None:
        """Take nothing new, leave to others what has not begun, and let what runs come to an end, for some time."""
        self._closed = True
        for driven in self._driven.values():
            driven.lane.close()
            driven.lane.give_up(reason, running=False)
        if self._begun and self._driven:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await asyncio.gather(*(driven.finished() for driven in self._driven.values()))

    async def end(self) -> None:
        for task in self._retiring.values():
            task.cancel()
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)
        await asyncio.gather(*(driven.end() for driven in self._driven.values()))

    def _driving(self, link: BackendLink, order: BackendOrder | None) -> Driven:
        settings = self._needs.settings
        access: UUID | None = None if order is None else order.access
        health = Health(self._needs.name, link, settings, self._changed, access=access)
        lane = Lane(link, health, self._needs, self._claim_uncertain, access=access)
        return Driven(lane, order, (order.slots if order else 0) or settings.slots)

    def _take_on(self, order: BackendOrder) -> None:
        assert self._connect is not None
        try:
            link = self._connect(order)
        except UnknownKindError:
            self._strange.add(order.access)
            logger.error("backend of an unknown kind", extra={"backend": order.name, "kind": order.kind})
            return
        logger.info("backend taken on", extra={"backend": order.name})
        driven = self._driven[order.name] = self._driving(link, order)
        self._resume_line(driven)
        driven.listen(self._ended)
        if self._begun:
            driven.begin(self._ended)
            self._claim_uncertain()  # perhaps an earlier process has left something open

    def _resume_line(self, driven: Driven) -> None:
        """What an earlier process submitted is told to the name it had: the last one's, if it had several."""
        for entries in self._needs.spool.entries().values():
            over = any(isinstance(entry, EndedAs | Settled) for entry in entries)
            for entry in entries:
                if (
                    isinstance(entry, Submitting)
                    and entry.line
                    and entry.backend == driven.lane.link.name
                    and not over
                ):
                    driven.lane.link.resume(entry.line)

    def resume_lines(self) -> None:
        for driven in self._driven.values():
            self._resume_line(driven)

    def _retire(self, name: str, driven: Driven, *, at_once: bool) -> None:
        """One that is driven otherwise from now on finishes first; one that is taken away does not."""
        driven.lane.close()
        driven.lane.give_up(TAKEN_AWAY, running=at_once)
        task = self._retiring[name] = asyncio.create_task(self._retired(name, driven))
        task.add_done_callback(self._ended)

    async def _retired(self, name: str, driven: Driven) -> None:
        await driven.finished()
        await driven.end()
        logger.info("backend left", extra={"backend": name})
        del self._driven[name], self._retiring[name]
        self._changed()  # the next beat's answer brings it back, if it is wanted otherwise

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._failure.done():
            self._failure.set_exception(error)
