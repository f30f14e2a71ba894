"""One backend's way through the executor: as many prompts inside as there are slots, the next ones claimed in time."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from uuid import UUID

from domain.ids import AttemptId
from services.execution.attempt import Attempt, GivenUp, Revoked
from services.execution.failures import FAULT, LEFT
from services.execution.health import Health
from services.execution.needs import Needs
from services.execution.pauses import woken
from services.execution.stocktaking import Stocktaking
from services.execution.stopping import stop
from services.execution.submitting import called, enter
from services.execution.watching import Watch
from services.ports.backend import (
    Advanced,
    BackendLink,
    Began,
    Broken,
    Ended,
    Previewed,
    Signal,
    Told,
    Unsettled,
)
from services.ports.executing import DispatchUnavailableError, EndedAs, Settled
from services.ports.messages import ClaimRequest, HandedBack, Lost

logger = logging.getLogger(__name__)

CLOSED = "The backend takes nothing new."


class Lane:
    """`claim_uncertain` is called when nobody knows whether a claim was granted."""

    def __init__(
        self,
        link: BackendLink,
        health: Health,
        needs: Needs,
        claim_uncertain: Callable[[], None],
        *,
        access: UUID | None = None,
    ) -> None:
        self.link = link
        self.health = health
        self.stock = Stocktaking(
            link, health, needs.link, needs.settings, access=access, takes_loras=needs.loras.has(link.name)
        )
        self._needs = needs
        self._claim_uncertain = claim_uncertain
        self._followed: dict[str, Attempt] = {}
        self._adopted: deque[Attempt] = deque()
        self._closed = False
        self._had_room = True
        self._asking = asyncio.Lock()
        self._wake = asyncio.Event()
        self.watch = Watch(link, health, needs.reporter, needs.settings, self._followed.values())

    def wake(self) -> None:
        """There may be something to claim."""
        self._wake.set()

    def close(self) -> None:
        """Take nothing new: each slot ends when what it has is over."""
        self._closed = True
        self._wake.set()

    def give_up(self, reason: str, *, running: bool) -> None:
        """Leave to others what waits in the backend, or on its way into it; and what it runs, too, if that is said."""
        for attempt in list(self._followed.values()):
            if running or (attempt.began_at is None and not attempt.adopted):
                attempt.settle(GivenUp(reason))

    async def stop(self, attempt: AttemptId) -> None:
        """Until the backend has it no more; or is not there any more, where the lane is closed."""
        await stop(self.link, attempt, self.health, self._needs.settings, lambda: self._closed)

    def adopt(self, attempt: Attempt) -> None:
        """Go on with an attempt that was claimed before."""
        self._adopted.append(attempt)
        self._wake.set()

    async def run(self) -> None:
        """One slot: an attempt after the other, until cancelled or closed."""
        while (attempt := await self._next()) is not None:
            if self._closed and not attempt.adopted:
                attempt.settle(GivenUp(CLOSED))  # claimed in the very moment
            self._followed[str(attempt.id)] = attempt
            try:
                await self._carry(attempt)
            except Exception:  # the outermost frame of this attempt: the slot goes on
                logger.exception("attempt not carried", extra={"run": str(attempt.held.run)})
                attempt.settle(Broken(failure=FAULT))
                await self._leave(attempt)
            finally:
                self._followed.pop(str(attempt.id), None)

    def hear(self, signal: Signal) -> None:
        """Called by the backend's line: returns at once."""
        if isinstance(signal, Unsettled):
            for followed in self._followed.values():
                followed.hears_all = False  # its silence proves nothing any more
            self.watch.look_now()
            return
        attempt = self._followed.get(str(signal.attempt))
        if attempt is None:
            return
        now = asyncio.get_running_loop().time()
        match signal:
            case Began():
                self._needs.reporter.begin(attempt, now)
            case Advanced(node=node, node_class=node_class):
                attempt.heard_at = now
                attempt.node, attempt.node_class = node, node_class
                self._needs.progress.advance(attempt, signal)
            case Previewed():
                attempt.heard_at = now
                self._needs.progress.preview(attempt, signal)
            case Told(message=message, files=files):
                attempt.heard_at = now
                attempt.tell(message)
                self._needs.progress.tell(attempt, message)
                if files:
                    self._needs.finisher.begin_ahead(attempt, self.link, files)
            case Ended(ending=ending):
                attempt.settle(ending)

    async def _next(self) -> Attempt | None:
        """One slot asks at a time: an idle executor asks once a pause, not once a slot. None: the lane is closed."""
        settings = self._needs.settings
        async with self._asking:
            while True:
                self._wake.clear()
                if self._adopted:
                    return self._adopted.popleft()
                if self._closed:
                    return None
                if self._may_claim() and (attempt := await self._claim()) is not None:
                    return attempt
                await woken(self._wake, settings.claim_poll_s)

    def _may_claim(self) -> bool:
        if not (self.health.alive.is_set() and self.stock.tried.is_set()):
            return False
        has_room = self._needs.spool.has_room()
        if has_room != self._had_room:
            logger.warning(
                "there is room again" if has_room else "no room in the spool: nothing new is taken"
            )
        self._had_room = has_room
        return has_room

    async def _claim(self) -> Attempt | None:
        request = ClaimRequest(executor=self._needs.name, backend=self.link.name)
        try:
            assignment = await self._needs.link.claim(request)
        except DispatchUnavailableError:
            self._claim_uncertain()
            return None
        return self._needs.holding.take(assignment) if assignment is not None else None

    async def _carry(self, attempt: Attempt) -> None:
        settled = [entry for entry in attempt.entries if isinstance(entry, Settled)]
        if settled:
            await self._needs.finisher.resume(attempt, settled[-1].facts)
            if any(isinstance(fact, Lost) for fact in settled[-1].facts):
                self.link.follow(attempt.id, {}, called(attempt.entries))
                self.link.forget(attempt.id)
                await self.stop(attempt.id)
            self._needs.holding.gone_from_backend(attempt)
            return
        for entry in attempt.entries:
            if isinstance(entry, EndedAs):
                attempt.settle(entry.ending)
        if not attempt.over:
            await enter(attempt, self.link, self.health, self._needs)
        await attempt.verdict
        await self._leave(attempt)

    async def _hand_back(self, attempt: Attempt, reason: str) -> None:
        """First it is stopped, then somebody else may have it."""
        if attempt.submitted:
            await self.stop(attempt.id)
        began = attempt.began_at is not None
        fact = Lost(failure=LEFT) if began else HandedBack(reason=reason)
        await self._needs.finisher.resume(attempt, (fact,))
        self._needs.holding.gone_from_backend(attempt)

    async def _leave(self, attempt: Attempt) -> None:
        """The verdict is known: what follows goes on beside the next prompt, but for stopping this one."""
        verdict = attempt.verdict.result()
        self.link.forget(attempt.id)
        if attempt.start_timer is not None and isinstance(verdict, Revoked | GivenUp):
            attempt.start_timer.cancel()
        if isinstance(verdict, GivenUp):
            await self._hand_back(attempt, verdict.reason)
            return
        if isinstance(verdict, Revoked):
            self._needs.finisher.abandon(attempt)
        else:
            await self._needs.finisher.begin(attempt, self.link, verdict)
        if attempt.submitted and (attempt.must_stop or isinstance(verdict, Revoked)):
            await self.stop(attempt.id)
        self._needs.holding.gone_from_backend(attempt)
