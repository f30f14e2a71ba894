"""What the commands need of the world: the log and the few things that cannot be decided by rules alone."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.api_key import Scope
from domain.event import AnyRecorded, Event
from domain.ids import AccountId, Actor, ApiKeyId, Digest, Position, RunId, SessionId, StreamId
from domain.limits import Quota, Standing
from domain.personal import Personal
from domain.refusals import Conflict

MAX_EVENT_BYTES = 65_536


class RequestKey(Struct, frozen=True):
    """A client's Idempotency-Key and the hash of the request it came with: one answer for all repeats."""

    actor: Actor
    key: str
    request_hash: bytes


class Write(Struct, frozen=True):
    """New events of one stream. `expected` is the stream's version before them, 0 for a new stream.

    Without events it is a guard: the entry is stale if the stream has moved on.
    """

    stream: StreamId
    expected: int
    events: tuple[Event, ...]
    owner: AccountId | None


class Entry(Struct, frozen=True, kw_only=True):
    """What one command appends: all of its writes or none of them."""

    writes: tuple[Write, ...]
    actor: Actor
    correlation: UUID
    causation: Position | None = None
    key: RequestKey | None = None


class Appended(Struct, frozen=True):
    """Where an entry stands in the log. `repeated`: the key was known, nothing new was written."""

    first: Position
    last: Position
    repeated: bool = False


class Snapshot(Struct, frozen=True):
    """An aggregate's encoded state at a version; `shape` names the state's class and its meaning."""

    version: int
    shape: str
    state: bytes


class StaleStreamError(Exception):
    """Somebody else appended to the stream first."""


class OutcomeUnknownError(Exception):
    """The connection was lost while appending: it may have happened or not. Read again before deciding again."""


class LogUnavailableError(Exception):
    """The log cannot be reached, or too many commands wait for it. Nothing was written."""


class WrongDigest(Conflict):
    """The bytes sent are not the object that was named."""


class ObjectTooLarge(Conflict):
    """More bytes than an object of this kind may have."""


class ObjectMissingError(Exception):
    """There is no such object."""


class ObjectsAwayError(Exception):
    """The object store cannot be reached just now, or did not answer to the end. Asking again soon makes sense."""


class EventTooLarge(Conflict):
    """An event must be smaller than MAX_EVENT_BYTES: what is large is kept beside the log."""


class KeyReused(Conflict):
    """The same Idempotency-Key came with another request."""


class Outdated(Conflict):
    """The thing has changed since the one who asks has looked at it."""


class EventLog(Protocol):
    async def append(self, entry: Entry) -> Appended:
        """Raises StaleStreamError, KeyReused, EventTooLarge, OutcomeUnknownError, LogUnavailableError.

        An entry without events is a ValueError.
        """

    async def answered(self, key: RequestKey) -> Position | None:
        """The first position of what this key wrote. Raises KeyReused."""

    async def read(self, stream: StreamId, after: int = 0) -> Sequence[AnyRecorded]:
        """A stream's events above a version, in order."""

    async def at(self, position: Position) -> AnyRecorded | None: ...

    async def load(self, stream: StreamId) -> tuple[Snapshot | None, Sequence[AnyRecorded]]:
        """The newest snapshot, if there is one, and the events after it."""

    async def keep_snapshot(self, stream: StreamId, snapshot: Snapshot) -> None: ...


class Contents(Protocol):
    """Graphs and other documents beside the log, compressed, never changed, never removed."""

    async def put(self, body: bytes) -> Digest: ...

    async def put_all(self, bodies: Sequence[bytes]) -> Sequence[Digest]:
        """In the same order; all of them, when it returns."""

    async def get(self, digest: Digest) -> bytes | None: ...


class Listed(Struct, frozen=True):
    """An object that is there, and since when: storing it again counts."""

    digest: Digest
    size_bytes: int
    stored_at: datetime


class Download(Struct, frozen=True):
    """How whoever follows a link is given an object: `disposition` says under which name, to be shown or kept."""

    media_type: str
    disposition: str


class Objects(Protocol):
    """Files of any size by the SHA-256 of their bytes. Every method raises ObjectsAwayError."""

    async def put(self, digest: Digest, chunks: AsyncIterator[bytes], limit_bytes: int) -> int:
        """Returns the size in bytes. Raises WrongDigest, ObjectTooLarge, OSError; then nothing is kept.

        Where it is there already it counts as stored now.
        """

    async def size(self, digest: Digest) -> int | None:
        """In bytes; None: there is none."""

    def read(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` and before `end`, in pieces. Raises ObjectMissingError before the first."""

    async def link(self, digest: Digest, download: Download) -> str | None:
        """A URL that gives the object to whoever has it, for some minutes. None: ask `read` and pass it on."""

    async def place(self, arrival: str, size_bytes: int) -> str | None:
        """A URL that so many bytes may be PUT to, for some minutes. None: there is none, give them to `put`."""

    async def take(self, arrival: str, digest: Digest, limit_bytes: int) -> int:
        """Keep what has arrived at its place, as `put` does.

        Returns the size in bytes. Raises ObjectMissingError, WrongDigest, ObjectTooLarge; then nothing is kept.
        """

    async def remove(self, digest: Digest, settled_before: datetime) -> bool:
        """Whether it is gone: one that was stored since then stays, as somebody may be about to refer to it."""

    def listed(self) -> AsyncIterator[Listed]:
        """All there are, in no order. What comes or goes meanwhile may be among them or not."""


class Credentials(Struct, frozen=True):
    """`email` and `password_hash` are as registered; `emails` and `passwords` hold what they were changed to.

    Which of them counts the account itself says: they are kept before its event, and forgotten after it.
    """

    account: AccountId
    username: str
    email: str
    password_hash: str
    emails: Mapping[UUID, str] = {}
    passwords: Mapping[UUID, str] = {}


class SessionRow(Struct, frozen=True, kw_only=True):
    """Where a session was begun from. `used_at`: when tokens were last given out for it."""

    session: SessionId
    account: AccountId
    user_agent: str
    address: str
    began_at: datetime
    used_at: datetime


class RefreshToken(Struct, frozen=True):
    """A stored refresh token: its hash, the session it continues, and whether it has been used."""

    token_hash: bytes
    session: SessionId
    account: AccountId
    expires_at: datetime
    used: bool = False


class Accounts(Protocol):
    """Working state of accounts: what must never be in the log."""

    async def add(self, credentials: Credentials, key: bytes) -> None:
        """`key`: of the account's personal fields, as a Vault made it."""

    async def remove(self, account: AccountId) -> None:
        """Of a registration that came to nothing."""

    async def erase(self, account: AccountId) -> None:
        """Forget the account's key and all else. What was sealed with the key is noise from then on."""

    async def keys(self, accounts: Sequence[AccountId]) -> Mapping[AccountId, bytes]:
        """Of those that have one (any more)."""

    async def by_id(self, account: AccountId) -> Credentials | None: ...

    async def keep_password(self, account: AccountId, id: UUID, password_hash: str) -> None:
        """One that may come to count."""

    async def forget_password(self, account: AccountId, id: UUID | None) -> None:
        """One that does not count any more; None: that of the registration."""

    async def keep_email(self, account: AccountId, name: UUID, email: str) -> None:
        """One that may come to count; `name` is the stream of its reservation."""

    async def forget_email(self, account: AccountId, name: UUID | None) -> None:
        """One that does not count any more; None: that of the registration."""

    async def note_session(self, row: SessionRow) -> None:
        """That it begins, or is used again: then `began_at` stays as it was."""

    async def sessions(self, account: AccountId) -> Sequence[SessionRow]:
        """Those that were noted and have not been ended, the last used first."""

    async def add_refresh_token(self, token: RefreshToken) -> None: ...

    async def use_refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        """Mark it used and return it as it was before; None if there is none."""

    async def end_session(self, session: SessionId) -> None:
        """Forget the session and its refresh tokens."""

    async def end_other_sessions(self, account: AccountId, kept: SessionId | None) -> None:
        """Forget all of the account but one."""


class Mail(Struct, frozen=True, kw_only=True):
    id: UUID
    account: AccountId
    to: str
    subject: str
    body: str


class MailToken(Struct, frozen=True, kw_only=True):
    """What a mail lets its reader do, once. `epoch`: of the account, when it was written."""

    token_hash: bytes
    account: AccountId
    purpose: str
    email: UUID
    epoch: int
    expires_at: datetime


class Mails(Protocol):
    """Mails to be sent, and the tokens in them. Every method raises LogUnavailableError."""

    async def put(self, mail: Mail, at: datetime) -> None:
        """It is sent soon, and tried again for a day."""

    async def keep_token(self, token: MailToken) -> None: ...

    async def use_token(self, token_hash: bytes) -> MailToken | None:
        """The token, for the first who asks."""


class Factors(Protocol):
    """Secrets of second factors, and codes for those who have lost the device. All raise LogUnavailableError."""

    async def keep(self, account: AccountId, id: UUID, secret: bytes) -> None:
        """One that may come to count."""

    async def secret(self, account: AccountId, id: UUID) -> bytes | None: ...

    async def use_step(self, id: UUID, step: int) -> bool:
        """Whether no code of this step or a later one was taken before."""

    async def keep_codes(self, account: AccountId, id: UUID, hashes: Sequence[bytes]) -> None:
        """In place of those of before."""

    async def use_code(self, account: AccountId, id: UUID, code_hash: bytes) -> bool:
        """Whether there was such a code; there is none any more."""

    async def forget(self, account: AccountId, kept: UUID | None) -> None:
        """All of the account but one."""


class Vault(Protocol):
    """Seals personal text, so that it can be forgotten where it can never be deleted."""

    def new_key(self, account: AccountId) -> bytes:
        """A key for an account, itself sealed: to be kept outside the log."""

    def seal(self, key: bytes, account: AccountId, field: str, text: str) -> Personal: ...

    async def open(self, events: Sequence[AnyRecorded]) -> Sequence[AnyRecorded]:
        """The same events, with the text of their personal fields where the account's key is still there."""


class Erasures(Protocol):
    """Which accounts were erased: kept where no backup of the log brings them back."""

    async def note(self, account: AccountId, at: datetime) -> None:
        """For good, when it returns. Noting one twice does no harm. Raises OSError."""

    async def noted(self) -> Mapping[AccountId, datetime]: ...


class KeyRow(Struct, frozen=True, kw_only=True):
    """An API key that has not been revoked, without its text. `used_at` is true to a minute or so."""

    key: ApiKeyId
    account: AccountId
    name: str
    scopes: tuple[Scope, ...]
    made_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None


class ApiKeys(Protocol):
    """Working state of API keys. One whose account has no credentials any more is not found."""

    async def add(self, row: KeyRow, key_hash: bytes) -> None: ...

    async def remove(self, key: ApiKeyId, account: AccountId) -> bool:
        """Whether there was such a key of this account's."""

    async def find(self, key: ApiKeyId, key_hash: bytes) -> KeyRow | None: ...

    async def among(self, keys: Sequence[ApiKeyId]) -> Sequence[KeyRow]:
        """Those of them that there are."""

    async def of(self, account: AccountId) -> Sequence[KeyRow]:
        """An account's, the oldest first."""

    async def used(self, key: ApiKeyId, at: datetime) -> None: ...


class Tries(Struct, frozen=True):
    """So many at once; then one more each time that this part of the window has passed."""

    most: int
    window: timedelta

    @property
    def step(self) -> timedelta:
        return self.window / self.most


class Attempts(Protocol):
    """Who has tried how often lately, in every process. Both raise LogUnavailableError."""

    async def take(self, key: UUID, tries: Tries, now: datetime) -> timedelta:
        """One more, when that leaves nothing to wait for; else how long until there may be another."""

    async def give_back(self, key: UUID, tries: Tries, now: datetime) -> None: ...


class Passwords(Protocol):
    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Takes as long without a hash as with one."""


class Secrets(Protocol):
    """Keyed hashes and random values."""

    def name_id(self, kind: str, canonical: str) -> UUID:
        """The stream of a unique name."""

    def random_token(self) -> str: ...

    def hash_token(self, token: str) -> bytes: ...

    def api_key(self, id: ApiKeyId) -> str:
        """The text of an API key: always the same for the same id, and nobody else can make it."""

    def read_api_key(self, text: str) -> ApiKeyId | None:
        """None for a text that we have never made."""

    def access_token(
        self, account: AccountId, session: SessionId, expires_at: datetime, epoch: int = 0
    ) -> str: ...


class Admissions(Protocol):
    """Who may have how many runs waiting. Every method raises LogUnavailableError."""

    async def admit(
        self,
        owner: AccountId,
        pool: str,
        runs: Sequence[RunId],
        decide: Callable[[Standing], Sequence[Quota]],
    ) -> Sequence[Quota]:
        """Let these runs in if `decide` does, which sees all that were let in before. Raises what it raises."""

    async def release(self, runs: Sequence[RunId]) -> None:
        """They were let in, but are not going to be submitted. Those that nobody releases count for a minute."""


class Clock(Protocol):
    def __call__(self) -> datetime: ...
