"""One prepared statement over one connection, again and again, at half the cost of a general cursor.

psycopg makes the connection and wraps libpq; but its cursors adapt every parameter anew and watch the socket anew
for each round trip. Here the socket is watched once, which also tells when the server has hung up. A call may be sent
while the one before is still under way: each is a transaction of its own, and the server goes on to the next without
waiting for us. Source: PostgreSQL documentation, libpq, asynchronous command processing and pipeline mode.
"""

import asyncio
import select
from collections import deque
from collections.abc import Sequence

import psycopg
from psycopg import pq

LOOK_S = 0.25
"""uvloop tells but once of a socket that ends in error, as it does when the server died before it had read all. Behind
the server's last words nothing more would be heard: libpq itself has to be asked from time to time."""

Row = tuple[bytes | None, ...]
"""The values of a row in text form."""


class Wire:
    """Calls are carried out and answered in order; each is told of everything that can happen to it."""

    def __init__(self, connection: psycopg.AsyncConnection, statement: str) -> None:
        """`statement` is the name of a prepared one. The connection is used for nothing else from now on."""
        self._connection = connection
        self._libpq = connection.pgconn
        self._libpq.enter_pipeline_mode()
        self._statement = statement.encode()
        self._loop = asyncio.get_running_loop()
        self._socket = self._libpq.socket
        self._answers: deque[asyncio.Future[Row]] = deque()
        self._result: pq.abc.PGresult | None = None
        self._lost = False
        self._loop.add_reader(self._socket, self._readable)
        self._heard = select.poll()
        self._heard.register(self._socket, select.POLLIN)
        self._look = self._loop.call_later(LOOK_S, self._look_again)

    def is_lost(self) -> bool:
        """Asked before anything is sent, so that nobody has to wonder whether it arrived."""
        for _ in ("the server's last words", "the end behind them"):
            if not self._lost and self._heard.poll(0):
                self._readable()
        return self._lost

    def call(self, parameters: Sequence[bytes]) -> asyncio.Future[Row]:
        """Will be the first row of the answer, or psycopg.Error. `parameters` are in binary form."""
        answer: asyncio.Future[Row] = self._loop.create_future()
        self._answers.append(answer)
        try:
            formats = [pq.Format.BINARY] * len(parameters)
            self._libpq.send_query_prepared(self._statement, parameters, formats)
            self._libpq.pipeline_sync()
            self._send()
        except psycopg.OperationalError as error:
            self._fail(error)
        return answer

    async def close(self) -> None:
        self._fail(psycopg.OperationalError("the connection was closed"))
        await self._connection.close()

    def _send(self) -> None:
        """libpq keeps what the socket has no room for yet."""
        if self._libpq.flush():
            self._loop.add_writer(self._socket, self._writable)
        else:
            self._loop.remove_writer(self._socket)

    def _writable(self) -> None:
        try:
            self._send()
        except psycopg.OperationalError as error:
            self._fail(error)

    def _readable(self) -> None:
        """Each answer is a result, nothing, and a mark; behind a lost connection there is nothing for ever."""
        try:
            self._libpq.consume_input()
            nothing = 0
            while self._answers and nothing < 2 and not self._libpq.is_busy():
                result = self._libpq.get_result()
                nothing = nothing + 1 if result is None else 0
                if result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC:
                    self._finish(self._answers.popleft())
                elif result is not None:
                    self._result = result
        except psycopg.OperationalError as error:
            self._fail(error)

    def _look_again(self) -> None:
        if self._answers:
            self._readable()
        if not self._lost:
            self._look = self._loop.call_later(LOOK_S, self._look_again)

    def _finish(self, answer: asyncio.Future[Row]) -> None:
        result, self._result = self._result, None
        if answer.done():
            return
        if result is None:
            answer.set_exception(psycopg.OperationalError("the server sent no answer"))
        elif result.status != pq.ExecStatus.TUPLES_OK:
            error = psycopg.errors.error_from_result(result)
            answer.set_exception(error)
            if isinstance(error, psycopg.OperationalError):
                self._fail(error)
        else:
            answer.set_result(tuple(result.get_value(0, column) for column in range(result.nfields)))

    def _fail(self, error: psycopg.OperationalError) -> None:
        self._hang_up()
        while self._answers:
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_exception(error)

    def _hang_up(self) -> None:
        if not self._lost:
            self._lost = True
            self._look.cancel()
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
