"""Publishing into JetStream: many messages, one answer.

Each message names the sequence it must follow, and the server refuses it where that was not stored: so what it
answers to the last one holds for all. nats-py's own `publish_async` never resolves its futures when the server
answers with an error or is lost. Here every publication ends: with a sequence, with the server's error, or
unacknowledged after a time-out.
"""

import asyncio
import itertools
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from adapters.nats.connection import Connection, Unreachable, parsed

ACK_TIMEOUT_S = 5.0


class Message(Struct, frozen=True):
    """`headers` are whole lines, each with its end."""

    subject: str
    body: bytes
    headers: bytes = b""


class PublishError(Exception):
    """The server refused a message. `err_code` is JetStream's own number, 0 when nobody listens there."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(f"{description} ({code}/{err_code})")
        self.code = code
        self.err_code = err_code


class UnacknowledgedError(Exception):
    """No answer came: the messages may be stored, or the first of them, or none."""


class _Refusal(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Ack(Struct, frozen=True):
    seq: int = 0
    error: _Refusal | None = None


_decode_ack = msgspec.json.Decoder(_Ack).decode


class Publisher:
    """Publishes over one connection and matches the answers by a reply inbox of its own."""

    def __init__(self, connection: Connection, *, timeout_s: float = ACK_TIMEOUT_S) -> None:
        self._connection = connection
        self._client = connection.client
        self._timeout_s = timeout_s
        self._awaited: dict[int, asyncio.Future[int]] = {}
        self._numbers = itertools.count(1)
        self._inbox = ""

    async def open(self) -> None:
        self._inbox = self._client.new_inbox()
        await self._client.subscribe_straight(f"{self._inbox}.*", self._answered)
        self._connection.on_lost(self._lost)

    async def send(self, messages: Sequence[Message]) -> int:
        """Send messages, of which each must follow the one before; returns the last one's sequence.

        Raises PublishError: the last one was refused, and perhaps others before it. UnacknowledgedError.
        """
        *others, last = messages
        number, answer = self._await_answer()
        commands = [_command(message) for message in others]
        commands.append(_command(last, reply=f"{self._inbox}.{number} "))
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connection.write(commands)
                return await answer
        except Unreachable as error:  # the time-out too
            raise UnacknowledgedError(repr(error)) from error
        finally:
            del self._awaited[number]

    def _await_answer(self) -> tuple[int, asyncio.Future[int]]:
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        self._awaited[number] = answer
        return number, answer

    def _answered(self, subject: bytes, _: bytes, body: bytes, headers: bytes | None) -> None:
        answer = self._awaited.get(int(subject.rpartition(b".")[2]))
        if answer is None or answer.done():
            return
        if not body:
            status = parsed(headers).get("Status", "0")
            answer.set_exception(PublishError(int(status), 0, "no stream takes this subject"))
            return
        try:
            ack = _decode_ack(body)
        except msgspec.DecodeError as error:
            answer.set_exception(UnacknowledgedError(repr(error)))
            return
        if ack.error is None:
            answer.set_result(ack.seq)
        else:
            answer.set_exception(PublishError(ack.error.code, ack.error.err_code, ack.error.description))

    def _lost(self) -> None:
        for answer in self._awaited.values():
            if not answer.done():
                answer.set_exception(UnacknowledgedError("the connection was lost"))


def _seen(answer: asyncio.Future[int]) -> None:
    """Nobody is to be warned of an outcome that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()


def _command(message: Message, *, reply: str = "") -> bytes:
    """HPUB of NATS's client protocol. `reply` ends with a blank."""
    headers = b"NATS/1.0\r\n%b\r\n" % message.headers
    size = len(headers)
    line = f"HPUB {message.subject} {reply}{size} {size + len(message.body)}\r\n"
    return b"%b%b%b\r\n" % (line.encode(), headers, message.body)
