"""Publishing into JetStream with many messages under way.

nats-py's own `publish_async` never resolves its futures when the server answers with an error or is lost.
Here every message ends: with its sequence, with the server's error, or unacknowledged after a time-out.
"""

import asyncio
import itertools
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from adapters.nats.connection import Connection, Unreachable

ACK_TIMEOUT_S = 5.0
WINDOW = 4096  # messages under way; far below what fills the connection's buffer
MAX_BATCH = 1000  # the server's limit
NO_RESPONDERS = 503


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
    """No answer came: the message may be stored or not."""


class _Refusal(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Ack(Struct, frozen=True):
    seq: int = 0
    error: _Refusal | None = None


_decode_ack = msgspec.json.Decoder(_Ack).decode


class Publisher:
    """Publishes over one connection and matches the acknowledgements by a reply inbox of its own."""

    def __init__(
        self, connection: Connection, *, window: int = WINDOW, timeout_s: float = ACK_TIMEOUT_S
    ) -> None:
        self._connection = connection
        self._client = connection.client
        self._timeout_s = timeout_s
        self._window = asyncio.Semaphore(window)
        self._pending: dict[int, tuple[asyncio.Future[int], float]] = {}
        self._numbers = itertools.count(1)
        self._inbox = ""
        self._reaper: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._answered)
        self._connection.on_lost(self._lost)

    def close(self) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
        self._lost()

    async def send(self, message: Message) -> asyncio.Future[int]:
        """Send, waiting only for a place in the window. The future gives the sequence.

        It raises PublishError, UnacknowledgedError; so does `send` itself while there is no connection.
        """
        await self._window.acquire()
        number, future = self._expect()
        await self._write(number, [_command(message, reply=f"{self._inbox}.{number}")])
        return future

    async def send_all(self, messages: Sequence[Message]) -> None:
        """Send all, then wait for all answers. Raises the first error, when no answer is outstanding any more."""
        futures: list[asyncio.Future[int]] = []
        try:
            for message in messages:
                futures.append(await self.send(message))
        finally:
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def send_batch(self, messages: Sequence[Message], batch: str) -> int:
        """Store at most MAX_BATCH messages, all or none, under a name that is new. Returns the last one's sequence."""
        *others, last = messages
        name = f"Nats-Batch-Id: {batch}\r\nNats-Batch-Sequence: "
        commands = [
            _command(message, lines=f"{name}{number}\r\n".encode())
            for number, message in enumerate(others, start=1)
        ]
        await self._window.acquire()
        number, future = self._expect()
        commit = f"{name}{len(messages)}\r\nNats-Batch-Commit: 1\r\n".encode()
        commands.append(_command(last, lines=commit, reply=f"{self._inbox}.{number}"))
        await self._write(number, commands)
        return await future

    def _expect(self) -> tuple[int, asyncio.Future[int]]:
        """A place for the answer to the next message. It gives its place in the window back when it is settled."""
        loop = asyncio.get_running_loop()
        number, future = next(self._numbers), loop.create_future()
        future.add_done_callback(self._settled)
        self._pending[number] = (future, loop.time() + self._timeout_s)
        if self._reaper is None:
            self._reaper = loop.call_later(self._timeout_s / 4, self._reap)
        return number, future

    async def _write(self, number: int, commands: list[bytes]) -> None:
        try:
            await self._connection.write(commands)
        except BaseException as error:
            future, _ = self._pending.pop(number)
            future.cancel()
            if isinstance(error, Unreachable):
                raise UnacknowledgedError(repr(error)) from error
            raise

    async def _answered(self, answer: Msg) -> None:
        number = answer.subject.rpartition(".")[2]
        future, _ = self._pending.pop(int(number), (None, 0.0))
        if future is None or future.done():
            return
        if not answer.data:
            status = (answer.headers or {}).get("Status", "0")
            future.set_exception(PublishError(int(status), 0, "no stream takes this subject"))
            return
        try:
            ack = _decode_ack(answer.data)
        except msgspec.DecodeError as error:
            future.set_exception(UnacknowledgedError(repr(error)))
            return
        if ack.error is None:
            future.set_result(ack.seq)
        else:
            future.set_exception(PublishError(ack.error.code, ack.error.err_code, ack.error.description))

    def _settled(self, future: asyncio.Future[int]) -> None:
        self._window.release()
        if not future.cancelled():
            future.exception()  # seen, so that nobody is warned of an outcome that nobody waits for

    def _lost(self) -> None:
        pending, self._pending = self._pending, {}
        for future, _ in pending.values():
            if not future.done():
                future.set_exception(UnacknowledgedError("the connection was lost"))

    def _reap(self) -> None:
        """One timer for all: messages are sent in order, so the oldest stands first."""
        loop = asyncio.get_running_loop()
        for number, (future, deadline) in list(itertools.islice(self._pending.items(), WINDOW)):
            if deadline > loop.time():
                break
            self._pending.pop(number)
            if not future.done():
                future.set_exception(UnacknowledgedError(f"no answer in {self._timeout_s} s"))
        self._reaper = loop.call_later(self._timeout_s / 4, self._reap) if self._pending else None


def _command(message: Message, *, lines: bytes = b"", reply: str = "") -> bytes:
    """HPUB of NATS's client protocol."""
    headers = b"NATS/1.0\r\n%b%b\r\n" % (message.headers, lines)
    size = len(headers)
    line = f"HPUB {message.subject} {reply} {size} {size + len(message.body)}\r\n"
    return b"%b%b%b\r\n" % (line.encode(), headers, message.body)
