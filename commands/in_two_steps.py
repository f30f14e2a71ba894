"""Logging in at a page: first the password, then, where somebody has a second factor, its code on a page of its own."""

from msgspec import Struct

from commands.accounts import Client, LogIn, Tokens, enter, known_by_password
from commands.attempts import attempt, right
from commands.known_accounts import known
from commands.needs import Command, Needs
from commands.second_factor import WRONG_CODE, proves
from commands.streams import Context
from domain.ids import AccountId
from domain.refusals import NotAuthenticated

OUTDATED = "The password has been changed meanwhile. Please begin again."


class BeginLogIn(Command, frozen=True, kw_only=True):
    login: str
    password: str
    client: Client = Client()


class FinishLogIn(Command, frozen=True, kw_only=True):
    """`epoch`: of the account, when its password was right."""

    account: AccountId
    epoch: int
    code: str
    client: Client = Client()


class HalfWay(Struct, frozen=True):
    """The password was right; the code is missing."""

    account: AccountId
    epoch: int


async def begin_log_in(command: BeginLogIn, context: Context, needs: Needs) -> Tokens | HalfWay:
    """Raises NotAuthenticated, NotAllowed for who is suspended, TooMany."""
    wish = LogIn(login=command.login, password=command.password, client=command.client)
    found = await known_by_password(wish, needs)
    if found.state.factor is not None and found.state.suspended is None:
        return HalfWay(found.id, found.state.epoch)
    return await enter(found, command.client, context, needs)


async def finish_log_in(command: FinishLogIn, context: Context, needs: Needs) -> Tokens:
    """Raises NotAuthenticated, also for a wrong code; NotAllowed, TooMany."""
    trying = await attempt("code", str(command.account), command.client.address, needs)
    found = await known(command.account, needs)
    if found.state.epoch != command.epoch:
        raise NotAuthenticated(OUTDATED)
    if not await proves(found, command.code, needs):
        raise NotAuthenticated(WRONG_CODE)
    await right(trying, needs)
    return await enter(found, command.client, context, needs)
