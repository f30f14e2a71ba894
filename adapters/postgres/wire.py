"""Prepared statements over one connection, again and again, at half the cost of a general cursor.

psycopg makes the connection and wraps libpq; but its cursors adapt every parameter anew and watch the socket anew
for each round trip. Here the socket is watched once, which also tells when the server has hung up. A call may be sent
while the one before is still under way: each is a transaction of its own, and the server goes on to the next without
waiting for us. Source: PostgreSQL documentation, libpq, asynchronous command processing and pipeline mode.
"""

import asyncio
import itertools
import select
from collections import deque
from collections.abc import Sequence

import psycopg
from msgspec import Struct
from psycopg import pq
from psycopg.pq.abc import PGresult

LOOK_S = 0.25
"""uvloop tells but once of a socket that ends in error, as it does when the server died before it had read all. Behind
the server's last words nothing more would be heard: libpq itself has to be asked from time to time."""

GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class Asked(Struct, frozen=True):
    """A statement and its parameters."""

    statement: bytes
    parameters: Sequence[bytes] = ()
    formats: Sequence[pq.Format] = ()


class _Call(Struct, frozen=True):
    answer: asyncio.Future[PGresult]
    prepared: dict[bytes, bytes]
    """What is prepared when it has gone well: statements and their names."""


class Wire:
    """Calls are carried out and answered in order; each is told of everything that can happen to it."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        """The connection is used for nothing else from now on."""
        self._connection = connection
        self._libpq = connection.pgconn
        self._libpq.enter_pipeline_mode()
        self._loop = asyncio.get_running_loop()
        self._socket = self._libpq.socket
        self._numbers = itertools.count(1)
        self._prepared: dict[bytes, bytes] = {}
        self._calls: deque[_Call] = deque()
        self._result: PGresult | None = None
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

    def call(
        self,
        statement: bytes,
        parameters: Sequence[bytes],
        formats: Sequence[pq.Format],
        answer_in: pq.Format = pq.Format.BINARY,
    ) -> asyncio.Future[PGresult]:
        """Will be the rows of the answer, or psycopg.Error."""
        return self.calls((Asked(statement, parameters, formats),), answer_in)

    def calls(
        self, asked: Sequence[Asked], answer_in: pq.Format = pq.Format.BINARY
    ) -> asyncio.Future[PGresult]:
        """Statements that are sent as one, and are one transaction unless they say otherwise: the last one's answer."""
        answer: asyncio.Future[PGresult] = self._loop.create_future()
        call = _Call(answer, {})
        self._calls.append(call)
        try:
            for each in asked:
                name = self._prepared.get(each.statement)
                if name is None:
                    name = call.prepared[each.statement] = b"s%d" % next(self._numbers)
                    self._libpq.send_prepare(name, each.statement)
                self._libpq.send_query_prepared(name, each.parameters, each.formats, answer_in)
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
        """To each call results, each with nothing behind it, and a mark; behind a lost connection nothing for ever."""
        try:
            self._libpq.consume_input()
            nothing = 0
            while self._calls and nothing < 2 and not self._libpq.is_busy():
                result = self._libpq.get_result()
                nothing = nothing + 1 if result is None else 0
                if result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC:
                    self._finish(self._calls.popleft())
                elif result is not None and (self._result is None or self._result.status in GOOD):
                    self._result = result  # behind one that is bad stands only that the rest was left out
        except psycopg.OperationalError as error:
            self._fail(error)

    def _look_again(self) -> None:
        if self._calls:
            self._readable()
        if not self._lost:
            self._look = self._loop.call_later(LOOK_S, self._look_again)

    def _finish(self, call: _Call) -> None:
        result, self._result = self._result, None
        if result is not None and result.status in GOOD:
            self._prepared |= call.prepared
        if call.answer.done():
            return
        if result is None:
            call.answer.set_exception(psycopg.OperationalError("the server sent no answer"))
        elif result.status not in GOOD:
            error = psycopg.errors.error_from_result(result)
            call.answer.set_exception(error)
            if isinstance(error, psycopg.OperationalError):
                self._fail(error)
        else:
            call.answer.set_result(result)

    def _fail(self, error: psycopg.OperationalError) -> None:
        self._hang_up()
        while self._calls:
            answer = self._calls.popleft().answer
            if not answer.done():
                answer.set_exception(error)

    def _hang_up(self) -> None:
        if not self._lost:
            self._lost = True
            self._look.cancel()
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
