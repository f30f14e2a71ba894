"""Joining, logging in, staying logged in."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from commands.attempts import attempt, network, right
from commands.claimed_addresses import claim
from commands.identity_ports import Credentials, RefreshToken, SessionRow
from commands.known_accounts import NOBODY, Known, holder, known
from commands.names import canonical_email, canonical_username, check_registration
from commands.needs import Command, Needs
from commands.notices import tell_wanted
from commands.second_factor import WRONG_CODE, proves
from commands.streams import Accepted, Change, Context
from domain import account, reservation, standing
from domain.account import ACCOUNT, SESSION_OVER, Account, AccountEvent, AccountRegistered, Role
from domain.ids import AccountId, Position, SessionId, account_actor
from domain.refusals import CodeNeeded, Conflict, NotAuthenticated, NotFound, TooMany
from domain.reservation import RESERVATION, NameReserved

ADDRESS = "e-mail address"
WRONG_LOGIN = "Wrong login or password."
WRONG_REFRESH = "The refresh token is not valid (any more). Please log in again."


class RegisterAccount(Command, frozen=True, kw_only=True):
    username: str
    email: str
    password: str
    address: str = ""
    """Of the network it comes from; an empty one is not counted."""
    vouched: bool = False
    """The operator knows the e-mail address: it counts at once."""


class Client(Struct, frozen=True):
    """What somebody logs in with and from where, as far as it is known."""

    user_agent: str = ""
    address: str = ""


class LogIn(Command, frozen=True, kw_only=True):
    """`login` is a username or an e-mail address; `code`: of the second factor, where there is one."""

    login: str
    password: str
    code: str = ""
    client: Client = Client()


class Refresh(Command, frozen=True, kw_only=True):
    refresh_token: str
    client: Client = Client()


class StayLoggedIn(Command, frozen=True, kw_only=True):
    """A session whose browser needs no new tokens: it goes on, and is seen to."""

    account: AccountId
    session: SessionId
    client: Client


class LogOut(Command, frozen=True, kw_only=True):
    account: AccountId
    session: SessionId


class GiveRole(Command, frozen=True, kw_only=True):
    """For the operator of the server. `username`: whose."""

    username: str
    role: Role
    reason: str = "By the operator of the server."


class Registered(Struct, frozen=True):
    id: AccountId
    username: str
    accepted: Accepted


class Tokens(Struct, frozen=True):
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "bearer"


async def register_account(command: RegisterAccount, context: Context, needs: Needs) -> Registered:
    """Where addresses are confirmed, nobody learns whether one is taken. Raises Invalid, Conflict when a name is taken,
    KeyReused, TooMany."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return await _registered(earlier, needs)
    try:
        return await _register(command, context, needs)
    except Conflict:
        if (
            earlier := await needs.streams.answered(context)
        ) is not None:  # the same request, sent twice at once
            return await _registered(earlier, needs)
        raise


async def log_in(command: LogIn, context: Context, needs: Needs) -> Tokens:
    """Raises NotAuthenticated, as late for an unknown login as for a wrong password; CodeNeeded, TooMany."""
    found = await known_by_password(command, needs)
    if found.state.factor is not None and not command.code:
        raise CodeNeeded("Please log in with the code that your device shows as well.")
    return await enter(found, command.client, context, needs)


async def known_by_password(command: LogIn, needs: Needs) -> Known:
    """Who has said the right password, and the right code if any. Raises as `log_in` but for a code that is missing."""
    trying = await attempt("login", canonical_email(command.login), command.client.address, needs)
    found = await _known(command.login, needs)
    if not await needs.passwords.verify(command.password, found.password_hash) or found.id == NOBODY:
        raise NotAuthenticated(WRONG_LOGIN)
    if found.state.factor is not None and command.code and not await proves(found, command.code, needs):
        raise NotAuthenticated(WRONG_CODE)
    await right(trying, needs)
    return found


async def enter(found: Known, client: Client, context: Context, needs: Needs) -> Tokens:
    """Begin a session of somebody who has proved who they are. Raises NotAuthenticated, NotAllowed."""
    session, epoch = SessionId(needs.new_id()), found.state.epoch

    def decide(state: Account) -> list[AccountEvent]:
        return account.log_in(state, session=session, epoch=epoch)

    _, tokens = await begin_session(found, session, decide, client, context, needs)
    return tokens


async def begin_session(
    found: Known,
    session: SessionId,
    decide: Callable[[Account], list[AccountEvent]],
    client: Client,
    context: Context,
    needs: Needs,
) -> tuple[Accepted, Tokens]:
    """For somebody of whom it is known who they are. Raises what the decision refuses."""
    await _note(session, found.id, client, needs)
    accepted = await needs.streams.transact(
        Context(actor=account_actor(found.id), correlation=context.correlation),
        Change(ACCOUNT, found.id, decide),
    )
    return accepted, await _tokens(found.id, session, found.state.epoch, needs)


async def refresh(command: Refresh, context: Context, needs: Needs) -> Tokens:
    """Exchange a refresh token for new tokens. A token used twice ends its session, for thief and owner alike."""
    token = await needs.accounts.use_refresh_token(needs.secrets.hash_token(command.refresh_token))
    if token is None or token.expires_at <= needs.now():
        raise NotAuthenticated(WRONG_REFRESH)
    state, _ = await needs.streams.load(ACCOUNT, token.account)
    if token.used:
        await _revoke(token, context, needs)
        raise NotAuthenticated(WRONG_REFRESH)
    if token.session not in state.sessions:
        raise NotAuthenticated(WRONG_REFRESH)
    await _note(token.session, token.account, command.client, needs)
    return await _tokens(token.account, token.session, state.epoch, needs)


async def stay_logged_in(command: StayLoggedIn, context: Context, needs: Needs) -> None:
    """Raises NotAuthenticated."""
    state, _ = await needs.streams.load(ACCOUNT, command.account)
    if command.session not in state.sessions:
        raise NotAuthenticated(SESSION_OVER)
    await _note(command.session, command.account, command.client, needs)


async def log_out(command: LogOut, context: Context, needs: Needs) -> Accepted:
    """End the session; its refresh tokens are gone, its access token is refused by those who hear of it."""
    await needs.accounts.end_session(command.session)
    return await needs.streams.transact(
        context,
        Change(ACCOUNT, command.account, lambda state: account.log_out(state, session=command.session)),
    )


async def give_role(command: GiveRole, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""
    found = await named(command.username, needs)

    def decide(state: Account) -> list[AccountEvent]:
        return standing.give_role(state, role=command.role, reason=command.reason)

    return await needs.streams.transact(context, Change(ACCOUNT, found, decide))


async def named(username: str, needs: Needs) -> AccountId:
    """Whose username it is. Raises NotFound."""
    found = await holder("username", canonical_username(username), needs)
    if found is None:
        raise NotFound("There is no such account.")
    return found


async def _register(command: RegisterAccount, context: Context, needs: Needs) -> Registered:
    username, email = command.username.strip(), command.email.strip()
    check_registration(username, email, command.password)
    id = AccountId(needs.new_id())
    claimed = needs.limits.confirm_addresses and not command.vouched
    names = [(needs.secrets.name_id("username", canonical_username(username)), "username")]
    if not claimed:
        names.append((needs.secrets.name_id("email", canonical_email(email)), ADDRESS))
    if command.address:
        most = needs.limits.registrations_of_address
        await attempt("registration", network(command.address), "", needs, most=most)
    for stream, what in names:  # a taken name is refused before a password is hashed for it
        state, _ = await needs.streams.load(RESERVATION, stream)
        if what == ADDRESS and state.holder is not None:
            await tell_wanted(state.holder, needs)
        reservation.reserve(state, account=id, what=what)
    password_hash = await needs.passwords.hash(command.password)
    key = needs.vault.new_key(id)
    sealed = needs.vault.seal(key, id, "username", username)
    await needs.accounts.add(Credentials(id, username, email, password_hash), key)
    try:
        accepted = await needs.streams.transact(
            Context(actor=account_actor(id), correlation=context.correlation, key=context.key),
            *[_reservation(stream, id, what) for stream, what in names],
            Change(ACCOUNT, id, lambda state: account.register(state, id=id, username=sealed), new=True),
        )
    except Conflict:
        await needs.accounts.remove(id)
        raise
    if accepted.repeated:
        await needs.accounts.remove(id)
        return await _registered(accepted, needs)
    if claimed:
        with suppress(TooMany):  # they may ask for another one later
            await claim(id, email, needs)
    return Registered(id, username, accepted)


async def _registered(accepted: Accepted, needs: Needs) -> Registered:
    """What a registration was answered: its events begin with one name or two, then comes the account."""
    recorded = await needs.streams.log.at(Position(accepted.first + 1))
    if recorded is not None and isinstance(recorded.event, NameReserved):
        recorded = await needs.streams.log.at(Position(accepted.first + 2))
    assert recorded is not None
    (opened,) = await needs.vault.open([recorded])
    assert isinstance(opened.event, AccountRegistered)
    if opened.event.username.text is None:
        raise Conflict("The account that this request made has been erased.")
    return Registered(opened.event.account, opened.event.username.text, accepted)


def _reservation(
    stream: UUID, id: AccountId, what: str
) -> "Change[reservation.Reservation, reservation.ReservationEvent]":
    return Change(RESERVATION, stream, lambda state: reservation.reserve(state, account=id, what=what))


async def _known(login: str, needs: Needs) -> Known:
    """Whose name or address it is. As much is asked for one that nobody has."""
    by_name = await holder("username", canonical_username(login), needs)
    by_email = await holder("email", canonical_email(login), needs)
    return await known(by_name or by_email or NOBODY, needs)


async def _note(session: SessionId, id: AccountId, client: Client, needs: Needs) -> None:
    now = needs.now()
    await needs.accounts.note_session(
        SessionRow(
            session=session,
            account=id,
            user_agent=client.user_agent,
            address=client.address,
            began_at=now,
            used_at=now,
        )
    )


async def _revoke(token: RefreshToken, context: Context, needs: Needs) -> None:
    await needs.accounts.end_session(token.session)
    await needs.streams.transact(
        Context(actor=account_actor(token.account), correlation=context.correlation),
        Change(ACCOUNT, token.account, lambda state: account.revoke(state, session=token.session)),
    )


async def _tokens(id: AccountId, session: SessionId, epoch: int, needs: Needs) -> Tokens:
    now: datetime = needs.now()
    fresh = needs.secrets.random_token()
    await needs.accounts.add_refresh_token(
        RefreshToken(needs.secrets.hash_token(fresh), session, id, now + needs.limits.refresh_token)
    )
    access = needs.secrets.access_token(id, session, now + needs.limits.access_token, epoch)
    return Tokens(access, fresh, int(needs.limits.access_token.total_seconds()))
