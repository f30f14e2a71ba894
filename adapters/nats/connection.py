"""A connection to NATS that heals itself, and says so when it cannot.

nats-py needs care: an exception in a callback stops it for ever, its read loop can die while it says it is
connected, and by default it gives up after two minutes.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

logger = logging.getLogger(__name__)

PENDING_BYTES = 32 * 1024 * 1024  # a publish that finds this full waits in a place that swallows cancellation
BEHIND_BYTES = 64 * 1024  # the server does not keep up: whoever sends more has to wait
RECONNECT_WAIT_S = 0.25
WATCH_S = 1.0
SETTLE_S = 2.0
SAME_ERROR_S = 10.0  # a server that is away would otherwise fill the log


Take: TypeAlias = Callable[[bytes, bytes, bytes, bytes | None], None]
"""Told of a message: its subject, the reply subject, what it says, and its headers as they came."""


class _Client(Client):
    """nats-py with requests that end as soon as they can, and attempts to connect that leave nothing open.

    Its own requests wait by asyncio.wait_for, which on Python 3.11 can swallow a cancellation, are sent long after a
    reconnect, and wait for answers that a lost connection cannot bring; and an answer goes through a queue and a task.
    """

    def __init__(self) -> None:
        super().__init__()
        self._straight: dict[int, Take] = {}
        self._sending = False
        self._answers = ""  # where those to requests come
        self._awaited: dict[str, asyncio.Future[Msg]] = {}
        self._numbers = itertools.count(1)

    async def _request_new_style(
        self, subject: str, payload: bytes, timeout: float = 1, headers: dict[str, Any] | None = None
    ) -> Msg:
        if not self.is_connected:
            raise nats.errors.ConnectionReconnectingError
        if self.is_draining_pubs:
            raise nats.errors.ConnectionDrainingError
        if not self._answers:
            self._answers = self.new_inbox()
            await self.subscribe_straight(f"{self._answers}.*", self._answered)
        loop, number = asyncio.get_running_loop(), str(next(self._numbers))
        answer: asyncio.Future[Msg] = loop.create_future()
        self._awaited[number] = answer
        answer.add_done_callback(_seen)
        timer = loop.call_later(timeout, _fail, answer, nats.errors.TimeoutError)
        try:
            await self.publish(subject, payload, reply=f"{self._answers}.{number}", headers=headers)
            return await answer
        finally:
            timer.cancel()
            del self._awaited[number]

    def _answered(self, subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        name = subject.decode()
        answer = self._awaited.get(name.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(Msg(self, name, reply.decode(), body, parsed(headers) or None))

    async def _connect_to_server(self, s: Any) -> None:
        """A server that was reached and said nothing, as in a cut network, is let go of before the next attempt."""
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)

    def fail_requests(self) -> None:
        for answer in self._awaited.values():
            _fail(answer, nats.errors.ConnectionReconnectingError)

    async def subscribe_straight(self, subject: str, take: Take) -> Subscription:
        """Have messages handed over as they are read: without a queue, a task, and headers that nobody looks at.

        That is half of what a message costs. `take` holds up everything else that comes over the connection.
        """
        self._straight[self._sid + 1] = _never_raising(subject, take)  # before the first can come
        return await self.subscribe(subject, cb=_unheard)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._straight.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> None:
        take = self._straight.get(sid)
        if take is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            take(subject, reply, data, headers)

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        """Send all of one turn of the event loop together, without waking a task for it.

        nats-py's own does the rest: whoever wants to wait, and whoever has sent more than the server takes.
        """
        writer = self._writer()
        if writer is None or force_flush or writer.transport.get_write_buffer_size() > BEHIND_BYTES:
            return await super()._flush_pending(force_flush)
        if not self._sending:
            self._sending = True
            asyncio.get_running_loop().call_soon(self._send)
        return None

    def _send(self) -> None:
        """What cannot be sent now nats-py keeps until it can."""
        self._sending = False
        writer = self._writer()
        if writer is not None and self._pending:
            writer.write(b"".join(self._pending))  # uvloop would write each for itself
            self._pending, self._pending_data_size = [], 0

    def _writer(self) -> Any:
        """None where nothing can be written at the moment."""
        writer = getattr(self._transport, "_io_writer", None) if self.is_connected else None
        return None if writer is None or writer.transport.is_closing() else writer

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """As nats-py's, without looking at each character of each name: half of what a message cost."""
        lines = [line.partition(b":") for line in raw.split(b"\r\n") if line]
        return {
            name.decode("ascii", "replace"): value.strip().decode("utf-8", "replace")
            for name, _, value in lines
        }


class Connection:
    """One connection to the NATS server, kept up for as long as it is open.

    `closed` is set when it will never work again (the server refused it): end the process or open another one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = _Client()
        self.closed = asyncio.Event()
        self._closing = False
        self._on_lost: list[Callable[[], None]] = []
        self._on_restored: list[Callable[[], None]] = []
        self._watchdog: asyncio.Task[None] | None = None
        self._last_error = ("", 0.0)

    async def open(
        self, url: str, *, user: str | None = None, password: str | None = None, inbox_prefix: str = "_INBOX"
    ) -> None:
        """Waits for the server as long as it takes; set a time-out around it where that is too long."""
        options: dict[str, Any] = {"reconnect_time_wait": RECONNECT_WAIT_S}  # typed int, but any number works
        try:
            await self.client.connect(
                url,
                name=self.name,
                user=user,
                password=password,
                inbox_prefix=inbox_prefix,
                ping_interval=10,
                max_outstanding_pings=2,
                max_reconnect_attempts=-1,
                drain_timeout=5,
                pending_size=PENDING_BYTES,
                error_cb=self._error,
                disconnected_cb=self._disconnected,
                reconnected_cb=self._reconnected,
                closed_cb=self._closed,
                **options,
            )
        except BaseException:
            await self.close()
            raise
        self._watchdog = asyncio.create_task(self._watch(), name=f"nats watchdog {self.name}")

    async def close(self) -> None:
        self._closing = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        await self.client.close()

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        return bool(self.client.is_connected)

    async def write(self, commands: list[bytes]) -> None:
        """Send protocol commands as they are: a third of what nats-py's `publish` costs with headers.

        Raises OSError when not connected: what nats-py would keep now could be stored long afterwards.
        """
        client = self.client
        if not client.is_connected or client._flush_queue is None:
            raise OSError("not connected")
        await client._send_command(b"".join(commands))
        if client._flush_queue.empty():
            await client._flush_pending()

    async def settle(self) -> None:
        """Return when the server has worked through all that was sent before, such as subscriptions.

        For users who may publish anywhere. nats-py's flush is no such barrier: it overtakes what waits.
        """
        try:
            await self.client.request("settled", timeout=SETTLE_S)
        except nats.errors.NoRespondersError:
            return  # the server's answer
        except Unreachable:
            logger.warning("nats does not answer", extra={"connection": self.name})

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call when the connection is lost: answers that are awaited may never come."""
        self._on_lost.append(callback)

    def on_restored(self, callback: Callable[[], None]) -> None:
        self._on_restored.append(callback)

    async def _error(self, error: Exception) -> None:
        text, now = repr(error), time.monotonic()
        if self._closing or (text == self._last_error[0] and now - self._last_error[1] < SAME_ERROR_S):
            return
        self._last_error = (text, now)
        logger.warning("nats error", extra={"connection": self.name, "error": text})

    async def _disconnected(self) -> None:
        if not self._closing:
            logger.warning("nats connection lost", extra={"connection": self.name})
        self.client.fail_requests()
        self._tell(self._on_lost)

    async def _reconnected(self) -> None:
        logger.info("nats connection restored", extra={"connection": self.name})
        self._tell(self._on_restored)

    async def _closed(self) -> None:
        if not self._closing:
            logger.error("nats connection closed for good", extra={"connection": self.name})
        self._tell(self._on_lost)
        self.closed.set()

    def _tell(self, callbacks: list[Callable[[], None]]) -> None:
        for callback in callbacks:
            try:
                callback()
            except Exception:  # raised into nats-py it would leave the connection half dead
                logger.exception("a callback of the nats connection failed", extra={"connection": self.name})

    async def _watch(self) -> None:
        """Reconnect when nats-py's read loop or flusher has died while it believes to be connected."""
        stuck = 0
        while not self.closed.is_set():
            await asyncio.sleep(WATCH_S)
            client = self.client
            loops = (client._reading_task, client._flusher_task)
            if client.is_connected and any(task is not None and task.done() for task in loops):
                logger.warning("nats read loop died, reconnecting", extra={"connection": self.name})
                await client.force_reconnect()
            reconnecting = client._reconnection_task
            waiting = client.is_reconnecting or client.is_connecting
            stuck = stuck + 1 if waiting and reconnecting is not None and reconnecting.done() else 0
            if stuck > 1:  # the reconnecting itself has died: nothing will bring this client back
                await client.close()


def parsed(headers: bytes | None) -> dict[str, str]:
    """As nats-py has them, with `Status` and `Description` for what the server itself says."""
    if not headers:
        return {}
    first, _, others = headers.partition(b"\r\n")
    status, _, described = first.removeprefix(b"NATS/1.0").strip().decode().partition(" ")
    said = {"Status": status, "Description": described} if status else {}
    return said | _Client._parse_header_lines(others)


def _seen(answer: asyncio.Future[Msg]) -> None:
    """Nobody is to be warned of an outcome that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()


def _fail(answer: asyncio.Future[Msg], error: type[Exception]) -> None:
    if not answer.done():
        answer.set_exception(error())


def _never_raising(name: str, take: Take) -> Take:
    def guarded(subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        try:
            take(subject, reply, body, headers)
        except Exception:  # raised into nats-py's parser it would end the reading of all that comes
            logger.exception("a message could not be handled", extra={"subscription": name})

    return guarded


async def _unheard(message: Msg) -> None:
    """In the place of a callback that is never called."""


def never_raising(name: str, callback: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """A message callback whose failure is logged and ends there."""

    async def guarded(message: Any) -> None:
        try:
            await callback(message)
        except Exception:
            logger.exception("a message could not be handled", extra={"subscription": name})

    return guarded


async def connect(
    url: str,
    *,
    name: str,
    user: str | None = None,
    password: str | None = None,
    inbox_prefix: str = "_INBOX",
) -> Connection:
    """An open connection. Waits for the server as long as it takes."""
    connection = Connection(name)
    await connection.open(url, user=user, password=password, inbox_prefix=inbox_prefix)
    return connection


Unreachable = (
    nats.errors.TimeoutError,
    nats.errors.NoRespondersError,
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.ConnectionDrainingError,
    nats.errors.OutboundBufferLimitError,
    OSError,
)
"""What nats-py raises when the server, or whoever should answer, is away."""
