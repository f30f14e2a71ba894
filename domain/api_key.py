"""An API key: lets a program do some of what its account may. Its text and name are kept outside the log."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.refusals import Conflict, FieldError, Invalid, NotAllowed, NotFound


class Scope(StrEnum):
    """`events`: follow one's own and everybody's public events; `events:all`: those of all accounts."""

    EVENTS = "events"
    ALL_EVENTS = "events:all"
    READ = "read"
    WRITE = "write"


class ApiKeyMade(Event, frozen=True, kw_only=True, tag="api_key.made.v1"):
    owner: AccountId
    scopes: tuple[Scope, ...]


class ApiKeyRevoked(Event, frozen=True, kw_only=True, tag="api_key.revoked.v1"):
    pass


ApiKeyEvent: TypeAlias = ApiKeyMade | ApiKeyRevoked


class ApiKey(Struct, frozen=True):
    owner: AccountId | None = None
    revoked: bool = False


def evolve(key: ApiKey, event: ApiKeyEvent) -> ApiKey:
    match event:
        case ApiKeyMade(owner=owner):
            return ApiKey(owner=owner)
        case ApiKeyRevoked():
            return replace(key, revoked=True)


API_KEY: Decider[ApiKey, ApiKeyEvent] = Decider("api_key", ApiKey(), evolve, lambda key: key.owner)


def make(key: ApiKey, *, owner: AccountId, scopes: Sequence[Scope], administrator: bool) -> list[ApiKeyEvent]:
    """Let a program in. Only administrators may follow what happens to everybody."""
    if key.owner is not None:
        raise Conflict("This key exists already.")
    if not scopes:
        raise Invalid("A key needs at least one scope.", FieldError("scopes", "It is empty."))
    if Scope.ALL_EVENTS in scopes and not administrator:
        raise NotAllowed("Only an administrator may make a key that follows everybody's events.")
    return [ApiKeyMade(owner=owner, scopes=tuple(sorted(set(scopes))))]


def revoke(key: ApiKey, *, by: AccountId) -> list[ApiKeyEvent]:
    """Shut a program out. Revoking twice is not an error."""
    if key.owner != by:
        raise NotFound("There is no such key.")
    return [] if key.revoked else [ApiKeyRevoked()]
