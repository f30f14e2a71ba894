"""Secrets of prompts, told from the process that was given them to the one that hands the run out: in memory only."""

import asyncio
from collections import OrderedDict

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from adapters.nats.connection import Connection, Unreachable, never_raising
from commands.ports import LogUnavailableError
from domain.ids import RunId

KEPT_S = 3600.0
MOST = 1_000  # of one process: the oldest is forgotten
ANSWER_S = 1.0


class NatsConfidant:
    """Confidant over one connection, whose owner closes it. Only our own account on the server can ask."""

    def __init__(self, connection: Connection, *, kept_s: float = KEPT_S) -> None:
        self._connection = connection
        self._kept_s = kept_s
        self._kept: OrderedDict[RunId, tuple[bytes, Subscription]] = OrderedDict()
        self._leaving: set[asyncio.Task[None]] = set()

    async def keep(self, run: RunId, secrets: bytes) -> None:
        self._forget(run)

        async def answer(message: Msg) -> None:
            await message.respond(secrets)

        try:
            subject = _subject(run)
            heard = await self._connection.client.subscribe(subject, cb=never_raising(subject, answer))
            await self._connection.settle()
        except Unreachable as error:
            raise LogUnavailableError("The executors cannot be reached at the moment.") from error
        self._kept[run] = secrets, heard
        asyncio.get_running_loop().call_later(self._kept_s, self._forget, run)
        while len(self._kept) > MOST:
            self._forget(next(iter(self._kept)))

    async def tell(self, run: RunId) -> bytes | None:
        try:
            return (await self._connection.client.request(_subject(run), timeout=ANSWER_S)).data
        except Unreachable:  # nobody answers: most prompts come without
            return None

    def _forget(self, run: RunId) -> None:
        if (kept := self._kept.pop(run, None)) is not None:
            task = asyncio.create_task(_unsubscribed(kept[1]))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)


def _subject(run: RunId) -> str:
    return f"prompts.secrets.{run}"


async def _unsubscribed(heard: Subscription) -> None:
    try:
        await heard.unsubscribe()
    except Unreachable:
        return  # the line is gone, and with it what was heard
