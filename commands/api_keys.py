"""API keys: made, listed, revoked, and shown at a door."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from commands.identity_ports import KeyRow
from commands.needs import Command, Needs
from commands.streams import NOTHING, Accepted, Change, Context
from domain import api_key
from domain.account import ACCOUNT
from domain.api_key import API_KEY, Scope
from domain.ids import AccountId, ApiKeyId
from domain.refusals import Conflict, FieldError, Invalid, NotFound

MAX_KEYS = 50  # of one account
MAX_NAME = 100
USE_NOTED_EVERY = timedelta(minutes=1)


class MakeApiKey(Command, frozen=True, kw_only=True):
    """`expires_at`: None for a key that is good until it is revoked."""

    by: AccountId
    name: str
    scopes: tuple[Scope, ...]
    expires_at: datetime | None = None


class RevokeApiKey(Command, frozen=True, kw_only=True):
    by: AccountId
    key: ApiKeyId


class MadeApiKey(Struct, frozen=True):
    """`text` is the key itself: told here, and to whoever repeats the same request."""

    row: KeyRow
    text: str
    accepted: Accepted


async def make_api_key(command: MakeApiKey, context: Context, needs: Needs) -> MadeApiKey:
    """Raises Invalid, NotAllowed, Conflict."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return await _made_before(earlier, needs)
    _check(command, needs.now())
    if len(await needs.api_keys.of(command.by)) >= MAX_KEYS:
        raise Conflict(f"You have {MAX_KEYS} keys. Revoke one that is no longer needed.")
    id = ApiKeyId(needs.new_id())
    text, administrator = needs.secrets.api_key(id), await is_administrator(command.by, needs)
    decided = api_key.make(
        API_KEY.initial, owner=command.by, scopes=command.scopes, administrator=administrator
    )
    row = KeyRow(
        key=id,
        account=command.by,
        name=command.name.strip(),
        scopes=tuple(sorted(set(command.scopes))),
        made_at=needs.now(),
        expires_at=command.expires_at,
    )
    await needs.api_keys.add(row, needs.secrets.hash_token(text))
    accepted = await needs.streams.transact(context, Change(API_KEY, id, lambda _: decided, new=True))
    if accepted.repeated:
        await needs.api_keys.remove(id, command.by)
        return await _made_before(accepted, needs)
    return MadeApiKey(row, text, accepted)


async def revoke_api_key(command: RevokeApiKey, context: Context, needs: Needs) -> Accepted:
    """The key opens nothing from now on. Raises NotFound."""
    removed = await needs.api_keys.remove(command.key, command.by)
    try:
        return await needs.streams.transact(
            context, Change(API_KEY, command.key, lambda key: api_key.revoke(key, by=command.by))
        )
    except NotFound:
        if removed:  # its making was cut short: nobody was ever told its text
            return NOTHING
        raise


class KeyHolder(Struct, frozen=True):
    """Whom a key lets in, and to what."""

    key: ApiKeyId
    account: AccountId
    scopes: tuple[Scope, ...]


async def holder(text: str, needs: Needs) -> KeyHolder | None:
    """Whose key this is; None for one that is not ours, or no longer good. Raises LogUnavailableError."""
    if (id := needs.secrets.read_api_key(text)) is None:
        return None
    row = await needs.api_keys.find(id, needs.secrets.hash_token(text))
    if row is None or not await _good(row, needs):
        return None
    if row.used_at is None or needs.now() - row.used_at > USE_NOTED_EVERY:
        await needs.api_keys.used(id, needs.now())
    return KeyHolder(id, row.account, row.scopes)


async def still_good(keys: Sequence[ApiKeyId], needs: Needs) -> Sequence[KeyRow]:
    """Those that still open something. Raises LogUnavailableError."""
    return [row for row in await needs.api_keys.among(keys) if await _good(row, needs)]


async def is_administrator(account: AccountId, needs: Needs) -> bool:
    """Asked of the log each time: a role that was taken away is gone at once."""
    state, _ = await needs.streams.load(ACCOUNT, account)
    return state.administers


async def _good(row: KeyRow, needs: Needs) -> bool:
    if row.expires_at is not None and row.expires_at <= needs.now():
        return False
    owner, _ = await needs.streams.load(ACCOUNT, row.account)
    return owner.suspended is None and (Scope.ALL_EVENTS not in row.scopes or owner.administers)


async def _made_before(accepted: Accepted, needs: Needs) -> MadeApiKey:
    recorded = await needs.streams.log.at(accepted.first)
    assert recorded is not None
    id = ApiKeyId(recorded.stream)
    found = await needs.api_keys.among([id])
    if not found:
        raise Conflict("This key was made, and has been revoked since.")
    return MadeApiKey(found[0], needs.secrets.api_key(id), accepted)


def _check(command: MakeApiKey, now: datetime) -> None:
    errors = []
    if not 1 <= len(command.name.strip()) <= MAX_NAME or not command.name.isprintable():
        errors.append(FieldError("name", f"It must have 1 to {MAX_NAME} printable characters."))
    if not command.scopes:
        errors.append(FieldError("scopes", "At least one is needed."))
    if command.expires_at is not None and command.expires_at.tzinfo is None:
        errors.append(FieldError("expires_at", "It must say its time zone, as in 2030-01-01T00:00:00Z."))
    elif command.expires_at is not None and command.expires_at <= now:
        errors.append(FieldError("expires_at", "It must lie in the future."))
    if errors:
        raise Invalid("The key cannot be made like this.", *errors)
