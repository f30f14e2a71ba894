"""Dispatch's side of the talk with executors: requests on `runs.<verb>.<executor>`, hints the other way.

An answer goes only where answers belong: a reply subject is never checked against the asker's permissions,
so `reply=events.run...` would otherwise have us forge an event.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from nats.aio.msg import Msg

from adapters.nats.connection import Connection, Unreachable, never_raising
from commands.ports import LogUnavailableError, OutcomeUnknownError
from services.ports.dispatching import QueueUnavailableError, Responder
from services.ports.messages import HeldAttempt

logger = logging.getLogger(__name__)

QUEUE = "dispatch"
CONCURRENCY = 64  # requests under way in one process; further ones wait in NATS's buffer
INBOXES = (
    "_R_.",
    "_INBOX",
)  # where the server puts answers to another account, and clients those of their own
ERROR_HEADER = "Comfyplus-Error"
WAKE = "runs.wake.shared"


class NatsDispatchServer:
    """DispatchServer over one connection. Its owner closes the connection."""

    def __init__(self, connection: Connection, *, concurrency: int = CONCURRENCY) -> None:
        self._connection = connection
        self._client = connection.client
        self._free = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, responders: dict[str, Responder]) -> None:
        """Returns when requests would be heard; they are, for as long as the connection is open."""
        for verb, responder in responders.items():
            callback = never_raising(f"runs.{verb}", self._accepting(responder))
            await self._client.subscribe(f"runs.{verb}.*", queue=QUEUE, cb=callback)
        await self._connection.settle()

    @property
    def listening(self) -> bool:
        return self._connection.connected

    async def wake(self) -> None:
        await self._hint(WAKE, b"")

    async def cancel(self, executor: str, attempt: HeldAttempt) -> None:
        await self._hint(f"exec.{executor}.cancel", msgspec.json.encode(attempt))

    def _accepting(self, responder: Responder) -> Callable[[Msg], Coroutine[Any, Any, None]]:
        async def accept(request: Msg) -> None:
            if not request.reply.startswith(INBOXES):
                logger.warning("request with a foreign reply subject", extra={"subject": request.subject})
                return
            await self._free.acquire()
            task = asyncio.create_task(self._answer(responder, request))
            self._tasks.add(task)
            task.add_done_callback(self._answered)

        return accept

    async def _answer(self, responder: Responder, request: Msg) -> None:
        executor = request.subject.rpartition(".")[2]
        try:
            body = await responder(executor, request.data)
            await self._client.publish(request.reply, body)
        except Unreachable:
            logger.warning("no way to answer", extra={"subject": request.subject})
        except (LogUnavailableError, OutcomeUnknownError, QueueUnavailableError) as error:
            described = {"subject": request.subject, "reason": str(error)}
            logger.warning("a request has to be asked again", extra=described)
            await self._refuse(request.reply)
        except Exception:  # the asker is told at once, and asks again
            logger.exception("a request failed", extra={"subject": request.subject})
            await self._refuse(request.reply)

    async def _refuse(self, reply: str) -> None:
        try:
            await self._client.publish(reply, headers={ERROR_HEADER: "failed"})
        except Unreachable:
            return  # the asker's own time-out tells it

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free.release()

    async def _hint(self, subject: str, body: bytes) -> None:
        """Hints may be lost: polling and the next beat make up for them."""
        if not self._connection.connected:
            return
        try:
            await self._client.publish(subject, body)
        except Unreachable as error:
            logger.info("hint lost", extra={"subject": subject, "reason": repr(error)})
