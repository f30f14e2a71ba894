"""What happens to runs as it happens, for those who watch them in this process.

NATS sends only what concerns a watched run. The last progress of each run is kept in its memory for those
who come late.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import Error as JetStreamError

from adapters.nats import cloud_event
from adapters.nats.connection import Connection, Unreachable, never_raising
from adapters.nats.watcher import QueueWatcher
from domain.ids import AccountId, RunId
from services.ports.messages import Progress
from services.ports.watching import FactSeen, GapFeared, PreviewSeen, Sighting, StepSeen

logger = logging.getLogger(__name__)

STREAM = "PROGRESS"
KEPT = StreamConfig(
    name=STREAM,
    subjects=["progress.*.*.step"],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.MEMORY,
    discard=DiscardPolicy.OLD,
    max_msgs_per_subject=1,
    max_age=3600,
    max_bytes=64 * 1024 * 1024,
    max_msg_size=64 * 1024,
    allow_direct=True,
)

_decode_progress = msgspec.json.Decoder(Progress).decode


class NatsLive:
    """Live over one connection. Its owner closes the connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client
        self._channels: dict[tuple[AccountId, RunId], _Channel] = {}
        self._making: asyncio.Task[None] | None = None
        connection.on_restored(self._restored)

    async def open(self) -> None:
        """Make the stream that keeps the last progress."""
        try:
            await self._client.jetstream().add_stream(KEPT)
        except (*Unreachable, JetStreamError) as error:  # progress itself does not need it
            logger.warning("the last progress is not kept", extra={"reason": repr(error)})

    @asynccontextmanager
    async def watch(self, account: AccountId, run: RunId) -> AsyncIterator[QueueWatcher]:
        watcher = QueueWatcher()
        channel = self._channels.setdefault((account, run), _Channel())
        channel.watchers.add(watcher)
        try:
            await channel.open(self._client, account, run)
            await self._connection.settle()
            yield watcher
        finally:
            channel.watchers.discard(watcher)
            if not channel.watchers:
                self._channels.pop((account, run), None)
                await channel.close()

    async def last_progress(self, account: AccountId, run: RunId) -> Progress | None:
        jetstream = self._client.jetstream(timeout=1)
        try:
            subject = f"progress.{account}.{run}.step"
            message = await jetstream.get_last_msg(STREAM, subject, direct=True)
            return _decode_progress(message.data or b"")
        except (*Unreachable, JetStreamError, msgspec.MsgspecError):
            return None

    def _restored(self) -> None:
        """The server may have lost its memory, and what was said meanwhile nobody heard."""
        for channel in self._channels.values():
            channel.tell(GapFeared())
        self._making = asyncio.create_task(self.open())


class _Channel:
    """One run's subscriptions, shared by its watchers."""

    def __init__(self) -> None:
        self.watchers: set[QueueWatcher] = set()
        self._subscriptions: list[Subscription] = []
        self._opened = False

    async def open(self, client: Client, account: AccountId, run: RunId) -> None:
        if self._opened:
            return
        self._opened = True
        heard = {f"progress.{account}.{run}.>": self._progressed, f"events.run.{run}.>": self._happened}
        for subject, callback in heard.items():
            subscription = await client.subscribe(subject, cb=never_raising(subject, callback))
            self._subscriptions.append(subscription)

    async def close(self) -> None:
        for subscription in self._subscriptions:
            try:
                await subscription.unsubscribe()
            except Unreachable as error:
                logger.info("not unsubscribed", extra={"reason": repr(error)})

    def tell(self, seen: Sighting) -> None:
        for watcher in self.watchers:
            watcher.put(seen)

    async def _progressed(self, message: Msg) -> None:
        match message.subject.rpartition(".")[2]:
            case "step":
                self.tell(StepSeen(_decode_progress(message.data)))
            case "preview":
                media_type = (message.headers or {}).get("Content-Type", "image/jpeg")
                self.tell(PreviewSeen(message.data, media_type))
            case _:
                logger.info("progress of an unknown kind", extra={"subject": message.subject})

    async def _happened(self, message: Msg) -> None:
        self.tell(FactSeen(cloud_event.decode(message.data, None)))
