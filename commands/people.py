"""What administrators decide about accounts: who administers, who moderates, who has to stay away."""

from commands.known_accounts import known
from commands.needs import Command, Needs
from commands.notices import Notice, tell
from commands.streams import Accepted, Change, Context, Source
from domain import standing
from domain.account import ACCOUNT, Account, AccountEvent, Role, SecondFactorOff
from domain.ids import AccountId
from domain.refusals import Conflict

NOT_YOURSELF = "Another administrator has to do this to you: somebody has to be left."


class ChangeAccount(Command, frozen=True, kw_only=True):
    """None leaves a thing as it is. `by`: an administrator; None: the operator of the server."""

    account: AccountId
    by: AccountId | None
    reason: str
    role: Role | None = None
    suspended: bool | None = None
    drop_factor: bool = False


async def change_account(command: ChangeAccount, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, NotAllowed, Conflict, Invalid.

    Rests on the administrator's own stream: of two who take each other's role at the same moment one is too late.
    """
    if command.by == command.account:
        raise Conflict(NOT_YOURSELF)

    dropped = False

    def decide(state: Account, *giver: Account) -> list[AccountEvent]:
        nonlocal dropped
        standing.check_giver(giver[0] if giver else None)
        events: list[AccountEvent] = []
        if command.role is not None:
            events += standing.give_role(state, role=command.role, reason=command.reason)
        if command.suspended is True:
            events += standing.suspend(state, reason=command.reason)
        if command.suspended is False:
            events += standing.reinstate(state, reason=command.reason)
        if command.drop_factor:
            events += standing.drop_factor(state, reason=command.reason)
        dropped = any(isinstance(event, SecondFactorOff) for event in events)
        return events

    given = () if command.by is None else (Source(ACCOUNT, command.by),)
    accepted = await needs.streams.transact(context, Change(ACCOUNT, command.account, decide, given=given))
    if dropped and not accepted.repeated:
        await tell(await known(command.account, needs), Notice.FACTOR_OFF, needs)
    return accepted
