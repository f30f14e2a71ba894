"""What lets integrators in needs of NATS: who is connected, and which consumers there are."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import Struct

from commands.api_keys import KeyHolder
from domain.ids import ApiKeyId


class Grant(Struct, frozen=True, kw_only=True):
    """What a key's connections may do: read through these consumers, each with one of these filters.

    `inbox` is the prefix of the only inboxes they may listen on.
    """

    key: ApiKeyId
    inbox: str
    consumers: tuple[str, ...]
    filters: tuple[str, ...]


LogIn = Callable[[str], Awaitable[Grant | None]]
"""From a key's text. Raises LogUnavailableError."""

Asked = Callable[[str], Awaitable[Grant | None]]
"""From a consumer's name. Raises LogUnavailableError."""


class Connected(Struct, frozen=True, kw_only=True):
    """A connection that a key has opened. `number` is the server's own for it; a later one has a higher number."""

    server: str
    number: int
    key: ApiKeyId | None


class Integration(Struct, frozen=True, kw_only=True):
    """Where integrators find NATS, and what they are granted there; None without a scope for events."""

    url: str
    stream: str
    domain: str
    grant: Callable[[KeyHolder], Grant | None]


class NatsAwayError(Exception):
    """NATS does not answer."""


class Connections(Protocol):
    async def open(self) -> Sequence[Connected]:
        """Raises NatsAwayError."""

    async def kick(self, connected: Connected) -> None: ...


class Consumers(Protocol):
    async def names(self) -> Sequence[str]:
        """Raises NatsAwayError."""

    async def delete(self, name: str) -> None: ...
