"""Another password, another address, fewer sessions: whoever else is logged in is logged out by it.

What is new is kept before the event that makes it count, and what was before is forgotten after it: whoever dies in
between leaves a password too many, and never an account without one.
"""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from commands.accounts import LogOut, log_out
from commands.attempts import attempt, right
from commands.claimed_addresses import claim
from commands.identity_ports import SessionRow
from commands.known_accounts import Known, email_stream, holder, is_reachable, known, proven
from commands.names import canonical_email, check_email, check_password
from commands.needs import Command, Needs
from commands.notices import Notice, tell, tell_wanted
from commands.streams import NOTHING, Accepted, Change, Context
from domain import account, reservation
from domain.account import ACCOUNT, Account, AccountEvent
from domain.ids import AccountId, SessionId
from domain.refusals import DomainError, NotAuthenticated, NotFound
from domain.reservation import RESERVATION, Reservation, ReservationEvent


class ChangePassword(Command, frozen=True, kw_only=True):
    """`password`: the one that counts so far."""

    account: AccountId
    session: SessionId
    password: str
    new_password: str


class ChangeEmail(Command, frozen=True, kw_only=True):
    account: AccountId
    session: SessionId
    password: str
    email: str


class EndSession(Command, frozen=True, kw_only=True):
    account: AccountId
    session: SessionId


class EndOtherSessions(Command, frozen=True, kw_only=True):
    account: AccountId
    session: SessionId


class Renewed(Struct, frozen=True):
    """What the session that stays goes on with; its refresh token is still good. `mailed`: a mail says what is next."""

    accepted: Accepted
    access_token: str
    expires_in: int
    epoch: int
    mailed: bool = False


async def change_password(command: ChangePassword, context: Context, needs: Needs) -> Renewed:
    """Raises Invalid, NotAllowed, NotAuthenticated."""
    check_password(command.new_password, "new_password")
    found = await proven(command.account, command.password, needs, command.session)
    id, replaced = needs.new_id(), list[UUID | None]()
    await needs.accounts.keep_password(command.account, id, await needs.passwords.hash(command.new_password))

    def decide(state: Account) -> list[AccountEvent]:
        replaced[:] = [state.password]
        return account.change_password(state, password=id, by=command.session)

    try:
        accepted = await needs.streams.transact(context, Change(ACCOUNT, command.account, decide))
    except DomainError:
        await needs.accounts.forget_password(command.account, id)
        raise
    for old in [id] if accepted.repeated else replaced:
        await needs.accounts.forget_password(command.account, old)
    if not accepted.repeated:
        await tell(found, Notice.PASSWORD, needs)
    return await _renewed(command.account, command.session, accepted, needs)


async def change_email(command: ChangeEmail, context: Context, needs: Needs) -> Renewed:
    """The new address is taken and the old one free in one step; where addresses are confirmed, as soon as it is.

    Raises Invalid, NotAllowed, Conflict, TooMany.
    """
    email = command.email.strip()
    check_email(email)
    found = await proven(command.account, command.password, needs, command.session)
    old, new = email_stream(found, needs), needs.secrets.name_id("email", canonical_email(email))
    if old == new:
        return await _renewed(command.account, command.session, NOTHING, needs)
    trying = await attempt(
        "address", str(command.account), "", needs
    )  # who asks for taken ones learns which are
    if needs.limits.confirm_addresses:
        return await _wish_for(email, new, found, command.session, needs)
    reachable = await is_reachable(found, needs)
    await needs.accounts.keep_email(command.account, new, email)
    try:
        accepted = await _move(command, context, needs, found, old, new)
    except DomainError:
        if (await known(command.account, needs)).state.email != new:
            await needs.accounts.forget_email(command.account, new)
        if (other := await holder("email", canonical_email(email), needs)) not in (None, command.account):
            await tell_wanted(other, needs)
        raise
    await right(trying, needs)
    if not accepted.repeated:
        await tell(found, Notice.EMAIL, needs, reachable=reachable)  # at the address of before
        await needs.accounts.forget_email(command.account, found.state.email)
    return await _renewed(command.account, command.session, accepted, needs)


async def end_session(command: EndSession, context: Context, needs: Needs) -> Accepted:
    """Log out one's own session, wherever it is. Raises NotFound."""
    state, _ = await needs.streams.load(ACCOUNT, command.account)
    if command.session not in state.sessions:
        raise NotFound("There is no such session.")
    return await log_out(LogOut(account=command.account, session=command.session), context, needs)


async def end_other_sessions(command: EndOtherSessions, context: Context, needs: Needs) -> Renewed:
    """Log out everywhere but here. Raises NotAuthenticated."""
    accepted = await needs.streams.transact(
        context,
        Change(ACCOUNT, command.account, lambda state: account.end_others(state, by=command.session)),
    )
    return await _renewed(command.account, command.session, accepted, needs)


async def open_sessions(id: AccountId, needs: Needs) -> Sequence[SessionRow]:
    """Those that still go on, the last used first."""
    state, _ = await needs.streams.load(ACCOUNT, id)
    oldest = needs.now() - needs.limits.refresh_token
    rows = await needs.accounts.sessions(id)
    return [row for row in rows if row.session in state.sessions and row.used_at >= oldest]


async def _wish_for(email: str, new: UUID, found: Known, session: SessionId, needs: Needs) -> Renewed:
    """One at a time: whatever was wished for before is forgotten."""
    account.at_home(found.state, session)
    for name in found.credentials.emails if found.credentials is not None else ():
        if name not in (found.state.email, new):
            await needs.accounts.forget_email(found.id, name)
    await needs.accounts.keep_email(found.id, new, email)
    await claim(found.id, email, needs)
    return replace(await _renewed(found.id, session, NOTHING, needs), mailed=True)


async def _move(
    command: ChangeEmail, context: Context, needs: Needs, found: Known, old: UUID, new: UUID
) -> Accepted:
    def decide(state: Account) -> list[AccountEvent]:
        return account.change_email(state, email=new, seen=found.state.email, by=command.session)

    def reserve(state: Reservation) -> list[ReservationEvent]:
        return reservation.reserve(state, account=command.account, what="e-mail address")

    def release(state: Reservation) -> list[ReservationEvent]:
        return reservation.release(state, account=command.account)

    return await needs.streams.transact(
        context,
        Change(RESERVATION, new, reserve),
        Change(RESERVATION, old, release),
        Change(ACCOUNT, command.account, decide),
    )


async def _renewed(id: AccountId, session: SessionId, accepted: Accepted, needs: Needs) -> Renewed:
    now = await known(id, needs)
    if session not in now.state.sessions:
        raise NotAuthenticated(account.SESSION_OVER)
    if accepted.position:
        await needs.accounts.end_other_sessions(id, session)
    lives = needs.limits.access_token
    token = needs.secrets.access_token(id, session, needs.now() + lives, now.state.epoch)
    return Renewed(accepted, token, int(lives.total_seconds()), now.state.epoch)
