"""Following accounts."""

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context, Source
from domain import follow
from domain.account import ACCOUNT
from domain.follow import FOLLOW
from domain.ids import AccountId, follow_id


class FollowAccount(Command, frozen=True, kw_only=True):
    by: AccountId
    account: AccountId


class UnfollowAccount(Command, frozen=True, kw_only=True):
    by: AccountId
    account: AccountId


async def follow_account(command: FollowAccount, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Conflict."""
    by, account = command.by, command.account
    return await needs.streams.transact(
        context,
        Change(
            FOLLOW,
            follow_id(by, account),
            lambda state, who: follow.begin(state, who, by=by, account=account),
            given=(Source(ACCOUNT, account),),
        ),
    )


async def unfollow_account(command: UnfollowAccount, context: Context, needs: Needs) -> Accepted:
    """Also one that is gone."""
    by, account = command.by, command.account
    return await needs.streams.transact(
        context,
        Change(FOLLOW, follow_id(by, account), lambda state: follow.end(state, by=by, account=account)),
    )
