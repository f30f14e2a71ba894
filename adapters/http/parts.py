"""What the handlers are given: the parts that wiring has opened."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct, field
from psycopg_pool import AsyncConnectionPool

from adapters.http.browsers import Browsers
from adapters.http.reads import Reads
from commands.dispatcher import Dispatcher
from commands.ports import Clock, EventLog, Objects
from domain.checkpoint import Checkpoint
from domain.ids import AccountId, ApiKeyId, Digest, RunId, SessionId
from domain.prices import Prices
from domain.seal import Link
from services.ports.confiding import Confidant
from services.ports.exporting import Archives, Exports, OwnLog
from services.ports.integrating import Integration
from services.ports.picturing import Pictures, Renditions
from services.ports.queueing import QueueView
from services.ports.sealing import Finding
from services.ports.telling import PublicLog
from services.ports.trying import Trials
from services.ports.uploading import Uploading
from services.ports.watching import Live


class Signatures(Protocol):
    """Tokens and signatures that only this door reads."""

    def read_access_token(self, token: str) -> Any: ...

    def read_claim_token(self, token: str, now: Any) -> Any: ...

    def browser_token(self, access: Any, expires_at: Any) -> str:
        """`access`: as `read_access_token` has read it."""

    def read_browser_token(self, token: str, now: Any) -> Any:
        """Raises NotAuthenticated."""

    def half_way_token(self, account: AccountId, epoch: int, expires_at: Any) -> str:
        """For whoever's password was right, and whose code is missing."""

    def read_half_way_token(self, token: str, now: Any) -> Any:
        """Raises NotAuthenticated."""

    def request_hash(self, request: bytes) -> bytes:
        """Keyed: a request may hold a password."""

    def object_signature(self, run: RunId, digest: Digest, expires: int, rendition: str = "") -> str: ...

    def check_object_signature(
        self, run: RunId, digest: Digest, expires: int, signature: str, now: Any, rendition: str = ""
    ) -> bool: ...

    def export_signature(self, export: UUID, expires: int) -> str: ...

    def check_export_signature(self, export: UUID, expires: int, signature: str, now: Any) -> bool: ...


class Ended(Protocol):
    """Sessions and keys that are over although somebody still shows their tokens."""

    def is_over(
        self, account: AccountId, way: SessionId | ApiKeyId | None = None, epoch: int | None = None
    ) -> bool: ...

    def end(self, thing: AccountId | SessionId) -> None: ...

    def renew(self, account: AccountId, epoch: int) -> None:
        """Tokens of an earlier epoch are over."""


class Audit(Protocol):
    """Whether the log is what was sealed."""

    async def head(self) -> Link: ...

    async def findings(self) -> Mapping[str, Finding]: ...

    async def checkpoint(self) -> Checkpoint: ...


class Unwell(Exception):
    """What is wrong with a part, in words that strangers may read."""


class Parts(Struct, frozen=True, kw_only=True):
    commands: Dispatcher
    log: EventLog
    reads: Reads
    signatures: Signatures
    ended: Ended
    objects: Objects
    exports: Exports
    archives: Archives
    pictures: Pictures
    renditions: Renditions
    uploading: Uploading
    live: Live
    queue: QueueView
    audit: Audit
    told: PublicLog
    trials: Trials
    confidant: Confidant
    own: OwnLog
    now: Clock
    new_id: Callable[[], UUID]
    work: AsyncConnectionPool[Any]
    """Connections to the working state, for those who operate the whole."""
    checks: Mapping[str, Callable[[], Awaitable[str]]]
    """Name of a part -> a look at it; returns a word of praise or raises what is wrong."""
    integration: Integration | None = None
    """None: integrators are not let in over NATS."""
    prices: Prices = Prices()
    browsers: Browsers = field(default_factory=Browsers)
    editor: Path | None = None
    """The folder of the editor's files; None: it is not installed."""
    public_url: str = ""
    max_body_bytes: int = 9 * 1024 * 1024
    max_object_bytes: int = 1024 * 1024 * 1024
    patience_s: float = 60.0
    """How long the next bytes of a body, and the beginning of an answer, are waited for."""
