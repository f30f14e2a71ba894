"""Trials of backends: executors are asked, and answer on a subject of their own."""

import asyncio
from uuid import UUID

import msgspec
from nats.aio.msg import Msg

from adapters.nats.connection import Connection, Unreachable, never_raising
from adapters.nats.server_config import EXECUTOR_TRIALS
from commands.ports import LogUnavailableError
from services.ports.trying import Trial, Tried

ANSWERED = "runs.tried.*"
DEADLINE_S = 12.0  # a health check of an executor takes ten at most
OTHERS_S = 1.0  # after one that does not reach it, another may

_decode = msgspec.json.Decoder(Tried).decode


class NatsTrials:
    """The Trials port over one connection, whose owner closes it."""

    def __init__(self, connection: Connection, *, deadline_s: float = DEADLINE_S) -> None:
        self._connection = connection
        self._deadline_s = deadline_s
        self._waiting: dict[UUID, asyncio.Queue[Tried]] = {}

    async def open(self) -> None:
        await self._connection.client.subscribe(ANSWERED, cb=never_raising(ANSWERED, self._answered))

    async def ask(self, trial: Trial) -> Tried | None:
        """Raises LogUnavailableError while NATS is away."""
        answers = self._waiting[trial.id] = asyncio.Queue()
        last: Tried | None = None
        try:
            await self._connection.client.publish(EXECUTOR_TRIALS, msgspec.json.encode(trial))
            async with asyncio.timeout(self._deadline_s) as patience:
                while last is None or last.sight is None:
                    last = await answers.get()
                    patience.reschedule(asyncio.get_running_loop().time() + OTHERS_S)
        except TimeoutError:
            pass
        except Unreachable as error:
            raise LogUnavailableError("The executors cannot be reached at the moment.") from error
        finally:
            del self._waiting[trial.id]
        return last

    async def _answered(self, message: Msg) -> None:
        tried = _decode(message.data)
        if (answers := self._waiting.get(tried.id)) is not None:
            answers.put_nowait(tried)
