"""The sender: takes endpoints that have something to send, one turn each, and says what came of it.

An endpoint is one sender's as long as its lease lasts; each attempt ends long before that. Killed at any moment, it
leaves a lease that runs out and a delivery that still waits: that one is sent again, under the same id.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from commands.dispatcher import Dispatcher
from commands.ports import LogUnavailableError, OutcomeUnknownError
from commands.streams import Context
from commands.webhooks import DisableWebhook
from domain.ids import Actor
from domain.refusals import DomainError
from domain.webhook import Reason
from services.ports.delivering import Answer, Attempted, Due, Lease, Outbox, Post, Sign, Turn
from services.telling import CONTENT_TYPE, message_id, told, trial
from services.webhooks.judging import GONE, Schedule, asked_pause_s, judged, pause

logger = logging.getLogger(__name__)

ACTOR = Actor("webhooks")
FAILING = 3  # failures in a row after which even an unordered endpoint is tried with one delivery only


class SenderSettings(Struct, frozen=True, kw_only=True):
    """`lease_s` is much longer than `attempt_s`, after which an attempt is given up whatever it is doing."""

    endpoints: int = 200
    per_owner: int = 8
    at_once: int = 8  # deliveries of one unordered endpoint
    attempt_s: float = 15.0
    lease_s: float = 45.0
    turn_s: float = 5.0  # after which others have theirs
    poll_s: float = 0.5
    schedule: Schedule = Schedule()


class Sender:
    """Runs until it is cancelled. `wake` it when there is something to send."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        post: Post,
        sign: Sign,
        dispatcher: Dispatcher,
        log: UUID,
        settings: SenderSettings = SenderSettings(),
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._post = post
        self._sign = sign
        self._dispatcher = dispatcher
        self._log = log
        self._settings = settings
        self._dice = dice
        self._woken = asyncio.Event()
        self._served: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        try:
            while True:
                self._woken.clear()
                for lease in await self._leased():
                    self._begin(lease)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.poll_s):
                        await self._woken.wait()
        finally:
            for task in self._served:
                task.cancel()
            await asyncio.gather(*self._served, return_exceptions=True)

    async def _leased(self) -> "tuple[Lease, ...]":
        free = self._settings.endpoints - len(self._served)
        if free <= 0:
            return ()
        try:
            return tuple(
                await self._outbox.lease(
                    limit=free, per_owner=self._settings.per_owner, lease_s=self._settings.lease_s
                )
            )
        except LogUnavailableError as error:
            logger.warning("webhooks wait", extra={"reason": str(error)})
            return ()

    def _begin(self, lease: Lease) -> None:
        task = asyncio.create_task(self._serve(lease))
        self._served.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._served.discard(task)
            self._woken.set()

        task.add_done_callback(ended)

    async def _serve(self, lease: Lease) -> None:
        """One endpoint's turn."""
        settings, now = self._settings, asyncio.get_running_loop().time
        over = now() + settings.turn_s
        try:
            try:
                while now() < over:
                    turn = await self._outbox.turn(lease, lease_s=settings.lease_s, at_most=settings.at_once)
                    if turn is None or not await self._send(lease, turn):
                        break
            finally:
                await self._outbox.release(lease)
        except LogUnavailableError as error:
            logger.warning("a webhook waits", extra={"webhook": lease.webhook, "reason": str(error)})
        except Exception:  # the outermost of this endpoint: the lease runs out, then it is tried again
            logger.exception("a webhook could not be served", extra={"webhook": lease.webhook})

    async def _send(self, lease: Lease, turn: Turn) -> bool:
        """False when the lease is lost."""
        due = turn.due[:1] if turn.failures >= FAILING else turn.due
        clock = _Clock(turn.now)
        answers = await asyncio.gather(*(self._attempt(lease.webhook, turn, each, clock) for each in due))
        attempts = [attempted for attempted, _ in answers]
        events = [
            (attempted, answer)
            for (attempted, answer), each in zip(answers, due, strict=True)
            if each.event is not None
        ]
        ok, hold_s = self._outcome(turn, events)
        if ok is False:
            await self._perhaps_disable(lease.webhook, turn, [answer for _, answer in events], clock.now())
        return await self._outbox.settle(lease, attempts, ok=ok, hold_s=hold_s)

    def _outcome(self, turn: Turn, events: "list[tuple[Attempted, Answer]]") -> tuple[bool | None, float]:
        """Whether anything was taken, and how long nothing else is sent there."""
        if not events:
            return None, 0.0
        asked = [asked_pause_s(answer, each.at, self._settings.schedule) or 0.0 for each, answer in events]
        if any(each.pause_s is None and not each.error for each, _ in events):
            return True, 0.0
        hold_s = max(asked)
        if turn.failures + 1 >= FAILING and not turn.state.ordered:
            hold_s = max(hold_s, pause(turn.failures + 1 - FAILING, self._settings.schedule, self._dice))
        return False, hold_s

    async def _attempt(
        self, webhook: UUID, turn: Turn, due: Due, clock: "_Clock"
    ) -> tuple[Attempted, Answer]:
        at = clock.now()
        id, body = self._message(webhook, due, at)
        headers = {
            "content-type": CONTENT_TYPE,
            "webhook-id": id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._sign(turn.secrets, id, at, body),
        }
        try:
            async with asyncio.timeout(self._settings.attempt_s):
                answer = await self._post(turn.url, headers, body)
        except TimeoutError:
            answer = Answer(None, error=f"It did not answer within {self._settings.attempt_s:g} s.")
        duration_ms = int((clock.now() - at).total_seconds() * 1000)
        attempted = judged(
            due,
            answer,
            at=at,
            duration_ms=duration_ms,
            schedule=self._settings.schedule,
            dice=self._dice,
        )
        return attempted, answer

    def _message(self, webhook: UUID, due: Due, at: datetime) -> tuple[str, bytes]:
        """Its id, the same for each attempt, and the body."""
        if due.event is None:
            return message_id(self._log, due.id, 0), trial(webhook, due.id, at, self._log)
        body = told(due.event, self._log)
        assert body is not None, "a delivery is made of public events only"
        return message_id(self._log, due.id, due.event.position), body

    async def _perhaps_disable(self, webhook: UUID, turn: Turn, answers: list[Answer], now: datetime) -> None:
        reason = None
        if any(answer.status == GONE for answer in answers):
            reason = Reason.GONE
        elif turn.failing_since is not None and now - turn.failing_since >= self._settings.schedule.patience:
            reason = Reason.FAILING
        if reason is not None:
            logger.info("webhook disabled", extra={"webhook": webhook, "reason": reason})
            await disable(self._dispatcher, webhook, reason)


async def disable(dispatcher: Dispatcher, webhook: UUID, reason: Reason) -> None:
    """If it cannot be done now, the next failure brings us here again."""
    context = Context(actor=ACTOR, correlation=dispatcher.needs.new_id())
    try:
        await dispatcher.run(DisableWebhook(webhook=webhook, reason=reason), context)
    except (DomainError, LogUnavailableError, OutcomeUnknownError) as error:
        logger.warning("webhook not disabled", extra={"webhook": webhook, "reason": str(error)})


class _Clock:
    """The database's time, which goes on while a turn lasts."""

    def __init__(self, now: datetime) -> None:
        self._now, self._began = now, time.monotonic()

    def now(self) -> datetime:
        return self._now + timedelta(seconds=time.monotonic() - self._began)
