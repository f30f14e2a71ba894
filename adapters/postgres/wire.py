"""One prepared statement over one connection, again and again, at half the cost of a general cursor.

psycopg makes the connection and wraps libpq; but its cursors adapt every parameter anew and watch the socket anew
for each round trip. Here the socket is watched once, which also tells when the server has hung up.
Source: PostgreSQL documentation, libpq, asynchronous command processing.
"""

import asyncio
from collections.abc import Sequence

import psycopg
from psycopg import pq

LOOK_S = 0.25
"""uvloop tells but once of a socket that ends in error, as it does when the server died before it had read all. Behind
the server's last words nothing more would be heard: libpq itself has to be asked from time to time."""

Row = tuple[bytes | None, ...]
"""The values of a row in text form."""


class Wire:
    """One call at a time; whoever awaits one is told of everything that can happen to it."""

    def __init__(self, connection: psycopg.AsyncConnection, statement: str) -> None:
        """`statement` is the name of a prepared one. The connection is used for nothing else from now on."""
        self._connection = connection
        self._libpq = connection.pgconn
        self._statement = statement.encode()
        self._loop = asyncio.get_running_loop()
        self._socket = self._libpq.socket
        self._answer: asyncio.Future[Row] | None = None
        self._result: pq.abc.PGresult | None = None
        self._lost = False
        self._loop.add_reader(self._socket, self._readable)
        self._look = self._loop.call_later(LOOK_S, self._look_again)

    def is_lost(self) -> bool:
        """Asked before anything is sent, so that nobody has to wonder whether it arrived."""
        for _ in ("the server's last words", "the end behind them"):
            if not self._lost:
                self._readable()
        return self._lost

    async def call(self, parameters: Sequence[bytes]) -> Row:
        """The first row of the answer. `parameters` are in binary form. Raises psycopg.Error."""
        assert self._answer is None
        self._answer = self._loop.create_future()
        try:
            formats = [pq.Format.BINARY] * len(parameters)
            self._libpq.send_query_prepared(self._statement, parameters, formats)
            self._send()
            return await self._answer
        except psycopg.OperationalError:
            self._hang_up()
            raise
        finally:
            self._answer = self._result = None

    async def close(self) -> None:
        self._hang_up()
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
        try:
            self._libpq.consume_input()
            while self._answer is not None and not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is None:
                    self._finish()
                    return
                self._result = result
        except psycopg.OperationalError as error:
            self._fail(error)

    def _look_again(self) -> None:
        if self._answer is not None:
            self._readable()
        if not self._lost:
            self._look = self._loop.call_later(LOOK_S, self._look_again)

    def _finish(self) -> None:
        answer, result = self._answer, self._result
        if answer is None or answer.done():
            return
        if result is None:
            answer.set_exception(psycopg.OperationalError("the server sent no answer"))
        elif result.status != pq.ExecStatus.TUPLES_OK:
            answer.set_exception(psycopg.errors.error_from_result(result))
        else:
            answer.set_result(tuple(result.get_value(0, column) for column in range(result.nfields)))

    def _fail(self, error: psycopg.OperationalError) -> None:
        self._hang_up()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _hang_up(self) -> None:
        if not self._lost:
            self._lost = True
            self._look.cancel()
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
