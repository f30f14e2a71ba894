"""Secrets of prompts, told from the process that was given them to the one that hands the run out: in memory only."""

import asyncio

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from adapters.nats.connection import Connection, Unreachable, never_raising
from commands.ports import LogUnavailableError
from domain.ids import AccountId, RunId

KEPT_S = 3600.0
MOST = 1_000  # of one process: the oldest of the account that has the most is forgotten
ANSWER_S = 1.0


class NatsConfidant:
    """Confidant over one connection, whose owner closes it. Only our own account on the server can ask."""

    def __init__(self, connection: Connection, *, kept_s: float = KEPT_S) -> None:
        self._connection = connection
        self._kept_s = kept_s
        self._kept: dict[AccountId, dict[RunId, tuple[Subscription, asyncio.TimerHandle]]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def keep(self, owner: AccountId, run: RunId, secrets: bytes) -> None:
        self._forget(owner, run)

        async def answer(message: Msg) -> None:
            await message.respond(secrets)

        try:
            subject = _subject(run)
            heard = await self._connection.client.subscribe(subject, cb=never_raising(subject, answer))
            await self._connection.settle()
        except Unreachable as error:
            raise LogUnavailableError("The executors cannot be reached at the moment.") from error
        lapse = asyncio.get_running_loop().call_later(self._kept_s, self._forget, owner, run)
        self._kept.setdefault(owner, {})[run] = heard, lapse
        if sum(map(len, self._kept.values())) > MOST:
            fullest = max(self._kept, key=lambda account: len(self._kept[account]))
            self._forget(fullest, next(iter(self._kept[fullest])))

    async def tell(self, run: RunId) -> bytes | None:
        try:
            return (await self._connection.client.request(_subject(run), timeout=ANSWER_S)).data
        except Unreachable:  # nobody answers: most prompts come without
            return None

    def _forget(self, owner: AccountId, run: RunId) -> None:
        theirs = self._kept.get(owner, {})
        if (kept := theirs.pop(run, None)) is not None:
            heard, lapse = kept
            lapse.cancel()
            task = asyncio.create_task(_unsubscribed(heard))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        if not theirs:
            self._kept.pop(owner, None)


def _subject(run: RunId) -> str:
    return f"prompts.secrets.{run}"


async def _unsubscribed(heard: Subscription) -> None:
    try:
        await heard.unsubscribe()
    except Unreachable:
        return  # the line is gone, and with it what was heard
