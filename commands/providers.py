"""A provider of identities that this server trusts, and log-ins by it that are under way."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from domain.ids import AccountId, SessionId, StreamId
from domain.refusals import DomainError


class ProviderAway(DomainError):
    """The provider cannot be asked at the moment, or answers what makes no sense."""


class Identity(Struct, frozen=True, kw_only=True):
    """Whom the provider has let in. `name`: what they might like to be called; may be empty, as `email`."""

    issuer: str
    subject: str
    name: str = ""
    email: str = ""
    email_verified: bool = False


class Provider(Protocol):
    @property
    def label(self) -> str:
        """What people call it."""

    async def address(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is to be sent. Raises ProviderAway."""

    async def identity(self, code: str, *, nonce: str, verifier: str) -> Identity:
        """Who came back with this code. Raises NotAuthenticated, ProviderAway."""


class SignOn(Struct, frozen=True, kw_only=True):
    """A log-in under way. `session`: of the `account` that wants to link the identity.

    `identity`: the provider has said who it is, the `account` is to say its code as well.
    """

    key: bytes
    expires_at: datetime
    account: AccountId | None = None
    session: SessionId | None = None
    identity: StreamId | None = None


class SignOns(Protocol):
    """Both raise LogUnavailableError."""

    async def keep(self, sign_on: SignOn) -> None: ...

    async def take(self, key: bytes) -> SignOn | None:
        """It, for the first who asks."""
