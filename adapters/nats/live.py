"""What happens to runs as it happens, for those who watch them in this process.

The last progress of each run is kept in the memory of NATS for those who come late.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import unquote
from uuid import UUID

import msgspec
from nats.aio.subscription import Subscription
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import Error as JetStreamError

from adapters.nats import cloud_event
from adapters.nats.connection import Connection, Take, Unreachable, parsed
from adapters.nats.executor_link import CLAIM_HEADER, NODE_HEADER
from adapters.nats.watcher import QueueWatcher
from domain.ids import AccountId, RunId
from services.ports.messages import NodesTold, Progress
from services.ports.watching import FactSeen, GapFeared, NodesSeen, PreviewSeen, Sighting, StepSeen

logger = logging.getLogger(__name__)

FACTS = "events.run.>"
MAX_GATHERED = 256  # steps and pictures of all runs that one reader watches
LINGER_S = 5.0  # who has followed a run to its end often follows the next one
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
_decode_nodes = msgspec.json.Decoder(NodesTold).decode


class NatsLive:
    """Live over one connection. Its owner closes the connection.

    Facts of all runs come by one subscription: they are few, and nobody has to wait until it is made. Of progress
    only that of accounts is sent of which something is watched.
    """

    def __init__(self, connection: Connection, claims: Claims, *, linger_s: float = LINGER_S) -> None:
        """What comes without the claim of its run is dropped: an executor tells of what it holds only."""
        self._claims = claims
        self._connection = connection
        self._client = connection.client
        self._linger_s = linger_s
        self._watched: dict[str, set[QueueWatcher]] = {}
        self._gathered: dict[str, set[QueueWatcher]] = {}
        """Watchers of all runs of an account."""
        self._progress: dict[AccountId, _Progress] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
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
        watched, id = self._place(account, run)
        watched.setdefault(id, set()).add(watcher)
        progress = self._progress.get(account)
        if progress is None:
            progress = self._progress[account] = _Progress(account, self._progressed)
        progress.watchers += 1
        await progress.open(self._connection)

    async def end(self, watcher: QueueWatcher, account: AccountId, run: RunId | None) -> None:
        watched, id = self._place(account, run)
        if (watching := watched.get(id)) is None or watcher not in watching:
            return
        watching.discard(watcher)
        if not watching:
            del watched[id]
        self._progress[account].watchers -= 1
        if not self._progress[account].watchers:
            asyncio.get_running_loop().call_later(self._linger_s, self._let_go, account)

    def _let_go(self, account: AccountId) -> None:
        progress = self._progress.get(account)
        if progress is not None and not progress.watchers:
            del self._progress[account]
            leaving = asyncio.create_task(progress.close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    def _place(self, account: AccountId, run: RunId | None) -> tuple[dict[str, set[QueueWatcher]], str]:
        return (self._gathered, str(account)) if run is None else (self._watched, str(run))

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

    def _progressed(self, subject: bytes, _: bytes, body: bytes, headers: bytes | None) -> None:
        account, named, kind = subject.decode().split(".", 3)[1:]
        watching = (*self._watched.get(named, _NOBODY), *self._gathered.get(account, _NOBODY))
        if not watching:
            return
        run, said = RunId(UUID(named)), parsed(headers)
        match kind:
            case "step":
                progress = _decode_progress(body)
                if progress.run == run and self._claims(_claim(said), run, progress.epoch):
                    _tell(watching, StepSeen(progress))
            case "preview" if self._claims(_claim(said), run, None):
                media_type, node = said.get("Content-Type", "image/jpeg"), unquote(said.get(NODE_HEADER, ""))
                _tell(watching, PreviewSeen(body, media_type, run, node))
            case "nodes":
                told = _decode_nodes(body)
                if told.run == run and self._claims(_claim(said), run, told.epoch):
                    _tell(watching, NodesSeen(told))
            case _:
                logger.info("progress that is not shown", extra={"subject": subject.decode()})

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
    """The progress of an account's runs, shared by all who watch one of them."""

    def __init__(self, account: AccountId, take: Take) -> None:
        self._subject = f"progress.{account}.>"
        self._take = take
        self.watchers = 0
        self._subscription: Subscription | None = None
        self._opened = False

    async def open(self, connection: Connection) -> None:
        if self._opened:
            return
        self._opened = True
        try:
            self._subscription = await connection.client.subscribe_straight(self._subject, self._take)
        except Unreachable:
            self._opened = False  # whoever comes next tries again
            raise

    async def close(self) -> None:
        if self._subscription is None:
            return
        try:
            await self._subscription.unsubscribe()
        except Unreachable as error:
            logger.info("not unsubscribed", extra={"reason": repr(error)})


def _tell(watching: Sequence[QueueWatcher], seen: Sighting) -> None:
    for watcher in watching:
        watcher.put(seen)


def _claim(headers: dict[str, str] | None) -> str:
    return (headers or {}).get(CLAIM_HEADER, "")
