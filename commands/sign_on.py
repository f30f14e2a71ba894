"""Logging in by the provider, and linking its identities to accounts.

A log-in is known by two secrets together: the `state`, which travels through the provider, and one that only the
browser has which began it. Nonce and verifier are made of both: an answer is worth nothing in another browser.
"""

import re
from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from commands.accounts import Client, Tokens, begin_session
from commands.attempts import attempt, network, right
from commands.identity_ports import Credentials
from commands.known_accounts import NO_PASSWORD, Known, holder, known, proven
from commands.names import USERNAME, canonical_email, canonical_username, is_email
from commands.needs import Command, Needs
from commands.notices import Notice, tell
from commands.providers import Identity, Provider, SignOn
from commands.second_factor import WRONG_CODE, proves
from commands.streams import NOTHING, Accepted, Change, Context
from domain import identity as identities
from domain import reservation
from domain.account import ACCOUNT, Account, AccountEvent
from domain.ids import AccountId, SessionId, StreamId, account_actor
from domain.refusals import CodeNeeded, Conflict, NotAuthenticated, NotFound
from domain.reservation import RESERVATION, Reservation, ReservationEvent

GOOD_FOR = timedelta(minutes=10)
OVER = "This log-in was not begun here, is over, or took too long. Please begin again."
CODE_NEEDED = "Please send the code that your device shows as well."
NO_PROVIDER = "This server knows no provider to log in by."
TAKEN = "There is an account with your e-mail address already. Log in to it, and link the provider there."
NAMES = 8  # that are tried; the later ones are long


class BeginSignOn(Command, frozen=True, kw_only=True):
    """`browser`: a secret that only the browser has. `address`: of the network."""

    browser: str
    address: str = ""


class BeginLink(Command, frozen=True, kw_only=True):
    account: AccountId
    session: SessionId
    password: str
    browser: str


class FinishSignOn(Command, frozen=True, kw_only=True):
    """What the browser has come back with."""

    browser: str
    state: str
    code: str
    client: Client = Client()


class FinishWithCode(Command, frozen=True, kw_only=True):
    """`code`: of the second factor, for a log-in that has come so far."""

    browser: str
    state: str
    code: str
    client: Client = Client()


class Unlink(Command, frozen=True, kw_only=True):
    account: AccountId
    session: SessionId
    password: str


class SignedOn(Struct, frozen=True):
    """`tokens`: None where an identity was linked."""

    accepted: Accepted
    tokens: Tokens | None = None


async def begin_sign_on(command: BeginSignOn, context: Context, needs: Needs) -> str:
    """Where the browser is to go. Raises NotFound, TooMany, ProviderAway."""
    if command.address:
        await attempt(
            "sign-on", network(command.address), "", needs, most=needs.limits.wrong_attempts_of_address
        )
    return await _begin(command.browser, None, None, needs)


async def begin_link(command: BeginLink, context: Context, needs: Needs) -> str:
    """Where the browser is to go. Raises NotFound, NotAllowed, NotAuthenticated, TooMany, ProviderAway."""
    found = await proven(command.account, command.password, needs, command.session)
    if found.state.identity is not None:
        raise Conflict("An identity of the provider is linked already. Unlink it first.")
    return await _begin(command.browser, command.account, command.session, needs)


async def finish_sign_on(command: FinishSignOn, context: Context, needs: Needs) -> SignedOn:
    """Raises NotFound, NotAuthenticated, NotAllowed for who is suspended, Conflict, CodeNeeded, ProviderAway."""
    provider = known_provider(needs)
    under_way = await _taken(command.state, command.browser, needs)
    if under_way.identity is not None:  # somebody has asked for the page anew
        await needs.sign_ons.keep(under_way)
        raise CodeNeeded(CODE_NEEDED)
    who = await provider.identity(command.code, **_secrets(command.state, command.browser, needs))
    identity = needs.secrets.name_id("identity", f"{who.issuer}\n{who.subject}")
    if under_way.account is not None and under_way.session is not None:
        linked = await _link(under_way.account, under_way.session, identity, context, needs)
        return SignedOn(linked)
    held, _ = await needs.streams.load(RESERVATION, identity)
    found = await known(held.holder or await _arrive(who, identity, context, needs), needs)
    if found.state.factor is not None and found.state.suspended is None:
        waiting = SignOn(
            key=_key(command.state, command.browser, needs),
            expires_at=needs.now() + GOOD_FOR,
            account=found.id,
            identity=identity,
        )
        await needs.sign_ons.keep(waiting)
        raise CodeNeeded(CODE_NEEDED)
    return await _logged_in(found, identity, command.client, context, needs)


async def finish_with_code(command: FinishWithCode, context: Context, needs: Needs) -> SignedOn:
    """Raises NotAuthenticated, NotAllowed, TooMany. After a wrong code another one may be sent."""
    under_way = await _taken(command.state, command.browser, needs)
    if under_way.identity is None or under_way.account is None:
        raise NotAuthenticated(OVER)
    try:
        trying = await attempt("code", str(under_way.account), command.client.address, needs)
        found = await known(under_way.account, needs)
        if not await proves(found, command.code, needs):
            raise NotAuthenticated(WRONG_CODE)
    except Exception:  # whatever it was, it is told as it is, and another code may be sent
        await needs.sign_ons.keep(under_way)
        raise
    await right(trying, needs)
    return await _logged_in(found, under_way.identity, command.client, context, needs)


async def unlink(command: Unlink, context: Context, needs: Needs) -> Accepted:
    """Raises NotAllowed, NotAuthenticated, Conflict, TooMany."""
    found = await proven(command.account, command.password, needs, command.session)
    if found.state.identity is None:
        return await needs.streams.answered(context) or NOTHING
    accepted = await needs.streams.transact(
        context,
        Change(
            RESERVATION,
            found.state.identity,
            lambda state: reservation.release(state, account=command.account),
        ),
        Change(
            ACCOUNT,
            command.account,
            lambda state: identities.unlink(state, has_password=found.has_password, by=command.session),
        ),
    )
    if not accepted.repeated:
        await tell(found, Notice.UNLINKED, needs)
    return accepted


def known_provider(needs: Needs) -> Provider:
    """Raises NotFound."""
    if needs.provider is None:
        raise NotFound(NO_PROVIDER)
    return needs.provider


async def _begin(browser: str, id: AccountId | None, session: SessionId | None, needs: Needs) -> str:
    provider, state = known_provider(needs), needs.secrets.random_token()
    address = await provider.address(state=state, **_secrets(state, browser, needs))
    key, expires_at = _key(state, browser, needs), needs.now() + GOOD_FOR
    await needs.sign_ons.keep(SignOn(key=key, expires_at=expires_at, account=id, session=session))
    return address


async def _taken(state: str, browser: str, needs: Needs) -> SignOn:
    """Each works once. Raises NotAuthenticated."""
    under_way = await needs.sign_ons.take(_key(state, browser, needs))
    if under_way is None or under_way.expires_at <= needs.now():
        raise NotAuthenticated(OVER)
    return under_way


async def _link(
    id: AccountId, session: SessionId, identity: StreamId, context: Context, needs: Needs
) -> Accepted:
    accepted = await needs.streams.transact(
        Context(actor=account_actor(id), correlation=context.correlation),
        _reserved(identity, id, "identity"),
        Change(ACCOUNT, id, lambda state: identities.link(state, identity=identity, by=session)),
    )
    await tell(await known(id, needs), Notice.LINKED, needs)
    return accepted


async def _logged_in(
    found: Known, identity: StreamId, client: Client, context: Context, needs: Needs
) -> SignedOn:
    session, epoch = SessionId(needs.new_id()), found.state.epoch

    def decide(state: Account) -> list[AccountEvent]:
        return identities.log_in_by(state, identity=identity, session=session, epoch=epoch)

    return SignedOn(*await begin_session(found, session, decide, client, context, needs))


async def _arrive(who: Identity, identity: StreamId, context: Context, needs: Needs) -> AccountId:
    """An account for somebody who has none. Raises Conflict where their address has one already."""
    email = who.email.strip() if who.email_verified and is_email(who.email.strip()) else ""
    for username in _names(who, needs):
        if email and await holder("email", canonical_email(email), needs) is not None:
            raise Conflict(TAKEN)
        if await holder("username", canonical_username(username), needs) is not None:
            continue
        try:
            return await _join(username, email, identity, context, needs)
        except Conflict:
            held, _ = await needs.streams.load(RESERVATION, identity)
            if held.holder is not None:  # they have come twice at once
                return held.holder
    raise Conflict("No free name was found for you. Please try again.")


async def _join(username: str, email: str, identity: StreamId, context: Context, needs: Needs) -> AccountId:
    id = AccountId(needs.new_id())
    key = needs.vault.new_key(id)
    sealed = needs.vault.seal(key, id, "username", username)
    name = needs.secrets.name_id("username", canonical_username(username))
    address = needs.secrets.name_id("email", canonical_email(email)) if email else None
    await needs.accounts.add(Credentials(id, username, email, NO_PASSWORD), key)

    def decide(state: Account) -> list[AccountEvent]:
        return identities.arrive(state, id=id, username=sealed, identity=identity, email=address)

    try:
        await needs.streams.transact(
            Context(actor=account_actor(id), correlation=context.correlation),
            _reserved(identity, id, "identity"),
            _reserved(name, id, "username"),
            *([] if address is None else [_reserved(address, id, "e-mail address")]),
            Change(ACCOUNT, id, decide, new=True),
        )
    except Conflict:
        await needs.accounts.remove(id)
        raise
    return id


def _names(who: Identity, needs: Needs) -> Iterator[str]:
    """What they might be called: as the provider calls them, else something like it."""
    wished = who.name or who.email.partition("@")[0]
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", wished.partition("@")[0])[:30].strip("_.-")
    if USERNAME.fullmatch(plain):
        yield plain
    for _ in range(NAMES):
        yield f"{plain or 'user'}-{needs.secrets.hash_token(needs.secrets.random_token()).hex()[:6]}"


def _reserved(stream: StreamId, id: AccountId, what: str) -> Change[Reservation, ReservationEvent]:
    return Change(RESERVATION, stream, lambda state: reservation.reserve(state, account=id, what=what))


def _key(state: str, browser: str, needs: Needs) -> bytes:
    return needs.secrets.hash_token(f"sign-on {state} {browser}")


def _secrets(state: str, browser: str, needs: Needs) -> dict[str, str]:
    made = {name: needs.secrets.hash_token(f"{name} {state} {browser}") for name in ("nonce", "verifier")}
    return {name: value.hex() for name, value in made.items()}
