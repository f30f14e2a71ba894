"""What the commands need to know who somebody is: secrets, sessions and personal text, which are never in the log."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.api_key import Scope
from domain.event import AnyRecorded
from domain.ids import AccountId, ApiKeyId, SessionId
from domain.personal import Personal, SealedText


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

    async def put_off(self, mail: Mail, until: datetime) -> None:
        """It is sent then. Put off again before that, under the same id, it says what it was given last."""

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

    async def texts(self, sealed: Sequence[SealedText]) -> Sequence[str | None]:
        """What they say; None where the account's key is gone."""

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
