"""A second factor: codes that a device makes, asked for beside the password; and recovery codes, each good once."""

import base64
from collections.abc import Sequence
from urllib.parse import quote, urlencode
from uuid import UUID

from msgspec import Struct

from commands.attempts import attempt, right
from commands.known_accounts import Known, proven
from commands.needs import Command, Needs
from commands.notices import Notice, tell
from commands.streams import Accepted, Change, Context
from domain import account
from domain.account import ACCOUNT
from domain.ids import AccountId, SessionId
from domain.refusals import Conflict, NotAllowed
from domain.totp import step_of

SECRET_BYTES = 20
RECOVERY_CODES = 10
ISSUER = "ComfyUI Plus"
WRONG_CODE = "The code is wrong, or was used before."


class BeginFactor(Command, frozen=True, kw_only=True):
    account: AccountId
    session: SessionId | None = None
    password: str


class TurnOnFactor(Command, frozen=True, kw_only=True):
    account: AccountId
    session: SessionId
    factor: UUID
    code: str


class TurnOffFactor(Command, frozen=True, kw_only=True):
    account: AccountId
    session: SessionId
    password: str
    code: str


class Begun(Struct, frozen=True):
    """`uri`: for a QR code; the same secret as text in `secret`."""

    factor: UUID
    secret: str
    uri: str


class TurnedOn(Struct, frozen=True):
    accepted: Accepted
    recovery_codes: Sequence[str]


async def begin_factor(command: BeginFactor, context: Context, needs: Needs) -> Begun:
    """Nothing is asked for yet. Raises NotAllowed, Conflict, TooMany."""
    found = await proven(command.account, command.password, needs, command.session)
    if found.state.factor is not None:
        raise Conflict("There is a second factor already. Turn it off first.")
    assert found.credentials is not None
    id, secret = needs.new_id(), _random(needs, SECRET_BYTES)
    await needs.factors.forget(command.account, None)  # begun and never finished
    await needs.factors.keep(command.account, id, secret)
    text = base64.b32encode(secret).decode()
    label = quote(f"{ISSUER}:{found.credentials.username}")
    return Begun(id, text, f"otpauth://totp/{label}?{urlencode({'secret': text, 'issuer': ISSUER})}")


async def turn_on_factor(command: TurnOnFactor, context: Context, needs: Needs) -> TurnedOn:
    """Raises NotAllowed for a wrong code, NotAuthenticated, Conflict, TooMany."""
    trying = await attempt("code", str(command.account), "", needs)
    if not await _is_code(command.account, command.factor, command.code, needs):
        raise NotAllowed(WRONG_CODE)
    await right(trying, needs)
    codes = [_grouped(_random(needs, 10)) for _ in range(RECOVERY_CODES)]
    hashes = [_hash(code, needs) for code in codes]
    await needs.factors.keep_codes(command.account, command.factor, hashes)
    accepted = await needs.streams.transact(
        context,
        Change(
            ACCOUNT,
            command.account,
            lambda state: account.turn_on(state, factor=command.factor, by=command.session),
        ),
    )
    return TurnedOn(accepted, codes)


async def turn_off_factor(command: TurnOffFactor, context: Context, needs: Needs) -> Accepted:
    """Raises NotAllowed for a wrong password or code, NotAuthenticated, TooMany."""
    found = await proven(command.account, command.password, needs, command.session)
    if found.state.factor is not None:
        trying = await attempt("code", str(command.account), "", needs)
        if not await proves(found, command.code, needs):
            raise NotAllowed(WRONG_CODE)
        await right(trying, needs)
    accepted = await needs.streams.transact(
        context,
        Change(ACCOUNT, command.account, lambda state: account.turn_off(state, by=command.session)),
    )
    await needs.factors.forget(command.account, None)
    if accepted.position and not accepted.repeated:
        await tell(found, Notice.FACTOR_OFF, needs)
    return accepted


async def proves(found: Known, code: str, needs: Needs) -> bool:
    """Whether it is a code of the device or a recovery code, which is used up by it."""
    if found.state.factor is None:
        return True
    if await _is_code(found.id, found.state.factor, code, needs):
        return True
    return await needs.factors.use_code(found.id, found.state.factor, _hash(code, needs))


async def _is_code(id: AccountId, factor: UUID, code: str, needs: Needs) -> bool:
    secret = await needs.factors.secret(id, factor)
    step = None if secret is None else step_of(secret, code.strip(), needs.now())
    return step is not None and await needs.factors.use_step(factor, step)


def _random(needs: Needs, size: int) -> bytes:
    return needs.secrets.hash_token(needs.secrets.random_token())[:size]


def _grouped(body: bytes) -> str:
    """16 letters and digits in groups of four."""
    text = base64.b32encode(body).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _hash(code: str, needs: Needs) -> bytes:
    plain = "".join(letter for letter in code.lower() if letter.isalnum())
    return needs.secrets.hash_token(f"recovery {plain}")
