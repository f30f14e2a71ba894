"""Moves the checkpoints of read models past events that do not concern them: those of all of them in one statement."""

import asyncio
from typing import Any

from msgspec import Struct
from psycopg import AsyncConnection

from domain.ids import Position
from projections import generations
from projections.generations import Generation, Move
from projections.pages import Connect
from projections.tables import prepare


class _Asked(Struct, frozen=True):
    move: Move
    done: asyncio.Future[bool]


class Passing:
    """Over a connection of its own. Whoever asks while a statement is under way is served by the next one."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None
        self._asked: list[_Asked] = []
        self._task: asyncio.Task[None] | None = None

    async def move(self, generation: Generation, old: Position, new: Position) -> bool:
        """False when somebody else moved it, or replaced the build. Raises psycopg.OperationalError."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(Move(generation, old, new), done))
        if self._task is None:
            self._task = asyncio.create_task(self._serve())
        return await done

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()

    async def _serve(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                await self._carry_out(asked)
        finally:
            self._task = None

    async def _carry_out(self, asked: list[_Asked]) -> None:
        try:
            moved = await generations.move_all(await self._open(), [each.move for each in asked])
        except Exception as error:  # each of those who wait is told
            for each in asked:
                if not each.done.done():
                    each.done.set_exception(error)
        else:
            for each in asked:
                if not each.done.done():
                    each.done.set_result(each.move.generation.name in moved)

    async def _open(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await self._connect()
            await prepare(self._connection)
        return self._connection
