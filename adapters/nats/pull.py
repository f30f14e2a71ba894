"""A pull consumer that acknowledges nothing and asks for more before it has run dry.

nats-py's `fetch` makes a task for each message and does not notice a restarted server; a callback does
neither: the server's heartbeats tell whether it still serves.
"""

import asyncio
import logging
from collections import deque

import msgspec
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from adapters.nats.connection import Connection, Unreachable, parsed
from domain.ids import Position

logger = logging.getLogger(__name__)

ASKED = 1024  # messages asked for at once
HELD = 2048  # messages under way or waiting to be taken
EXPIRES_S = 30.0
HEARTBEAT_S = 1.0
SILENCE_S = 3.5  # some missed heartbeats: nobody serves this consumer any more
INACTIVE_S = 60.0  # after this the server forgets a consumer that nobody asks
API_TIMEOUT_S = 1.0

_NEXT = msgspec.json.encode(
    {"batch": ASKED, "expires": int(EXPIRES_S * 1e9), "idle_heartbeat": int(HEARTBEAT_S * 1e9)}
)


class Pull:
    """The messages of a stream above a sequence. `broken`: it must be replaced by another one."""

    def __init__(self, connection: Connection, stream: str, after: Position) -> None:
        self._client = connection.client
        self._stream = stream
        self._consumer = ""
        self._inbox = connection.client.new_inbox()
        self._address = self._inbox.encode()
        self._subscription: Subscription | None = None
        self._asked = 0
        self._asking: asyncio.Task[None] | None = None
        self._heard = 0.0
        self._arrived = asyncio.Event()
        self.waiting: deque[tuple[Position, bytes]] = deque()
        self.last = after
        self.broken = False

    async def open(self) -> None:
        """Raises what nats-py raises when the server is away or has no such stream."""
        jetstream = self._client.jetstream(timeout=API_TIMEOUT_S)
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self.last + 1,
            inactive_threshold=INACTIVE_S,
            mem_storage=True,
        )
        made = await jetstream.add_consumer(self._stream, config)
        self._consumer = made.name
        self._subscription = await self._client.subscribe_straight(self._inbox, self._message)
        await self._ask()

    async def close(self) -> None:
        self.broken = True
        if self._subscription is None:
            return
        try:
            await self._subscription.unsubscribe()
            if self._client.is_connected:
                await self._client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}")
        except Unreachable:
            pass  # the server forgets it by itself

    async def arrival(self, deadline: float) -> None:
        """Return when a message waits, when none will come any more, or at that time of the loop."""
        await self._ask()
        while not self.waiting and not self.broken:
            self._arrived.clear()
            dead = self._heard + SILENCE_S
            try:
                async with asyncio.timeout_at(min(deadline, dead)):
                    await self._arrived.wait()
            except TimeoutError:
                if dead >= deadline:
                    return
                self.broken = self._heard + SILENCE_S <= asyncio.get_running_loop().time()

    def drop(self) -> None:
        self.broken = True
        self._arrived.set()

    async def _ask(self) -> None:
        """Ask for more while there is room for it."""
        if not self._has_room():
            return
        self._asked += ASKED
        self._heard = asyncio.get_running_loop().time()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        try:
            await self._client.publish(subject, _NEXT, reply=self._inbox)
        except Unreachable:
            self.drop()

    def _has_room(self) -> bool:
        return (
            not self.broken and self._asked + len(self.waiting) <= HELD - ASKED and self._asked <= ASKED // 2
        )

    def _message(self, subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        self._heard = asyncio.get_running_loop().time()
        if subject == self._address:
            self._status(parsed(headers))
        else:
            self._asked -= 1
            self.last = _sequence(reply)
            self.waiting.append((self.last, body))
            self._arrived.set()
        if self._has_room() and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask())

    def _status(self, headers: dict[str, str]) -> None:
        match headers.get("Status"):
            case "100":
                return
            case "408":
                self._asked -= int(headers.get("Nats-Pending-Messages", "0"))
            case status:
                described = headers.get("Description", "")
                logger.info("consumer ended", extra={"status": status, "description": described})
                self.drop()


def _sequence(reply: bytes) -> Position:
    """The stream's sequence in `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>...`, in both of its forms."""
    tokens = reply.split(b".")
    return Position(int(tokens[5] if len(tokens) == 9 else tokens[7]))
