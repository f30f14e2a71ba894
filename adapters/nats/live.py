"""What happens to runs as it happens, for those who watch them in this process.

The last progress of each run is kept in the memory of NATS for those who come late.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import Error as JetStreamError

from adapters.nats import cloud_event
from adapters.nats.connection import Connection, Unreachable, never_raising
from adapters.nats.executor_link import CLAIM_HEADER
from adapters.nats.watcher import QueueWatcher
from domain.ids import AccountId, RunId
from services.ports.messages import Progress
from services.ports.watching import FactSeen, GapFeared, PreviewSeen, Sighting, StepSeen

logger = logging.getLogger(__name__)

FACTS = "events.run.>"
MAX_GATHERED = 256  # steps and pictures of all runs that one reader watches
_NOBODY: frozenset[QueueWatcher] = frozenset()
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

Claims = Callable[[str, RunId, int | None], bool]
"""Whether a token is the claim of this run, and of this attempt where one is named."""

_decode_progress = msgspec.json.Decoder(Progress).decode


class NatsLive:
    """Live over one connection. Its owner closes the connection.

    Facts of all runs come by one subscription: they are few, and nobody has to wait until it is made. Of progress
    only what concerns a watched run is sent.
    """

    def __init__(self, connection: Connection, claims: Claims) -> None:
        """What comes without the claim of its run is dropped: an executor tells of what it holds only."""
        self._claims = claims
        self._connection = connection
        self._client = connection.client
        self._watched: dict[str, set[QueueWatcher]] = {}
        self._progress: dict[str, _Progress] = {}
        self._gathered: dict[str, set[QueueWatcher]] = {}
        """Watchers of all runs of an account."""
        self._keeping: asyncio.Task[None] | None = None
        connection.on_restored(self._restored)

    async def open(self) -> None:
        """Listen to the facts, and make the stream that keeps the last progress."""
        await self._client.subscribe_straight(FACTS, self._happened)
        await self._keep()
        await self._connection.settle()

    @asynccontextmanager
    async def watch(self, account: AccountId, run: RunId) -> AsyncIterator[QueueWatcher]:
        watcher = QueueWatcher()
        try:
            await self.begin(watcher, account, run)
            yield watcher
        finally:
            await self.end(watcher, account, run)

    @asynccontextmanager
    async def gather(self, account: AccountId) -> AsyncIterator["NatsGathering"]:
        gathering = NatsGathering(self, account)
        try:
            yield gathering
        finally:
            await gathering.close()

    async def begin(self, watcher: QueueWatcher, account: AccountId, run: RunId | None) -> None:
        """None: every run of the account."""
        subject, watched, id = self._place(account, run)
        progress = self._progress.setdefault(subject, _Progress(self._claims))
        watched.setdefault(id, set()).add(watcher)
        progress.watchers.add(watcher)
        await progress.open(self._client, subject)

    async def end(self, watcher: QueueWatcher, account: AccountId, run: RunId | None) -> None:
        subject, watched, id = self._place(account, run)
        if (watching := watched.get(id)) is not None:
            watching.discard(watcher)
            if not watching:
                del watched[id]
        if (progress := self._progress.get(subject)) is not None:
            progress.watchers.discard(watcher)
            if not progress.watchers:
                del self._progress[subject]
                await progress.close()

    def _place(self, account: AccountId, run: RunId | None) -> tuple[str, dict[str, set[QueueWatcher]], str]:
        """The subject of its progress, and where its facts are looked for."""
        if run is None:
            return f"progress.{account}", self._gathered, str(account)
        return f"progress.{account}.{run}", self._watched, str(run)

    async def last_progress(self, account: AccountId, run: RunId) -> Progress | None:
        jetstream = self._client.jetstream(timeout=1)
        try:
            subject = f"progress.{account}.{run}.step"
            message = await jetstream.get_last_msg(STREAM, subject, direct=True)
            progress = _decode_progress(message.data or b"")
            return progress if self._claims(_claim(message.headers), run, progress.epoch) else None
        except (*Unreachable, JetStreamError, msgspec.MsgspecError):
            return None

    async def _keep(self) -> None:
        try:
            await self._client.jetstream().add_stream(KEPT)
        except (*Unreachable, JetStreamError) as error:  # progress itself does not need it
            logger.warning("the last progress is not kept", extra={"reason": repr(error)})

    def _happened(self, subject: bytes, _: bytes, body: bytes, __: bytes | None) -> None:
        watching = self._watched.get(subject.split(b".", 3)[2].decode(), _NOBODY)
        if not watching and not self._gathered:
            return
        seen = FactSeen(cloud_event.decode(body, None))
        for watcher in (*watching, *self._gathered.get(str(seen.recorded.owner), _NOBODY)):
            watcher.put(seen)

    def _restored(self) -> None:
        """The server may have lost its memory, and what was said meanwhile nobody heard."""
        for watching in (*self._watched.values(), *self._gathered.values()):
            for watcher in watching:
                watcher.put(GapFeared())
        self._keeping = asyncio.create_task(self._keep())


class NatsGathering(QueueWatcher):
    """Gathering. Its owner closes it."""

    def __init__(self, live: NatsLive, account: AccountId) -> None:
        super().__init__(MAX_GATHERED)
        self._live = live
        self._account = account
        self._runs: set[RunId | None] = set()

    async def add(self, run: RunId) -> None:
        await self._add(run)

    async def drop(self, run: RunId) -> None:
        await self._drop(run)

    async def add_all(self) -> None:
        await self._add(None)

    async def drop_all(self) -> None:
        await self._drop(None)

    async def close(self) -> None:
        for run in tuple(self._runs):
            await self._drop(run)

    async def _add(self, run: RunId | None) -> None:
        if run not in self._runs:
            self._runs.add(run)
            await self._live.begin(self, self._account, run)

    async def _drop(self, run: RunId | None) -> None:
        if run in self._runs:
            self._runs.discard(run)
            await self._live.end(self, self._account, run)


class _Progress:
    """The progress of one run, or of all of an account, shared by its watchers."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self.watchers: set[QueueWatcher] = set()
        self._subscription: Subscription | None = None
        self._opened = False

    async def open(self, client: Client, subject: str) -> None:
        if not self._opened:
            self._opened = True
            self._subscription = await client.subscribe(
                f"{subject}.>", cb=never_raising(subject, self._progressed)
            )

    async def close(self) -> None:
        if self._subscription is None:
            return
        try:
            await self._subscription.unsubscribe()
        except Unreachable as error:
            logger.info("not unsubscribed", extra={"reason": repr(error)})

    async def _progressed(self, message: Msg) -> None:
        claim = _claim(message.headers)
        _, _, named, kind = message.subject.split(".", 3)
        run = RunId(UUID(named))
        match kind:
            case "step":
                progress = _decode_progress(message.data)
                if progress.run == run and self._claims(claim, run, progress.epoch):
                    self._tell(StepSeen(progress))
            case "preview" if self._claims(claim, run, None):
                media_type = (message.headers or {}).get("Content-Type", "image/jpeg")
                self._tell(PreviewSeen(message.data, media_type, run))
            case _:
                logger.info("progress that is not shown", extra={"subject": message.subject})

    def _tell(self, seen: Sighting) -> None:
        for watcher in self.watchers:
            watcher.put(seen)


def _claim(headers: dict[str, str] | None) -> str:
    return (headers or {}).get(CLAIM_HEADER, "")
