"""Notifying accounts of what others do with what is theirs; reading that; having it mailed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from commands.identity_ports import Mail
from commands.known_accounts import email_stream, known
from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context, Source
from domain import notice
from domain.account import ACCOUNT, Account
from domain.comment import COMMENT
from domain.ids import AccountId, Position, notices_id
from domain.notice import NOTICES, Kind, Liked, NoticeEvent, NoticeGiven, Notices
from domain.shared_output import SHARED_OUTPUT
from domain.workflow import WORKFLOW

MAILED = {
    Kind.FOLLOWED: "{by} follows you.",
    Kind.COMMENTED: "{by} has commented on {name}:\n\n{text}",
    Kind.ANSWERED: "{by} has answered you on {name}:\n\n{text}",
    Kind.MENTIONED: "{by} has mentioned you on {name}:\n\n{text}",
    Kind.HIDDEN: "A moderator has hidden what you have shown ({name}): {reason}",
    Kind.MARKED: "A moderator says whether what you have shown is sensitive ({name}): {reason}",
    Kind.RESTORED: "A moderator shows again what was hidden ({name}): {reason}",
}
LIKES = "Others like what you have shown:\n\n{things}\n\nThey are told of once a day at most."
SUBJECT = "News of {name}"
HOW_TO_STOP = "\n\nYou get this because you asked for it; you can turn it off in your notifications.\n"


class GiveNotices(Command, frozen=True, kw_only=True):
    """Consecutive ones of one account. `told`, in them, makes every repetition harmless."""

    account: AccountId
    given: tuple[NoticeGiven, ...]


class ReadNotice(Command, frozen=True, kw_only=True):
    by: AccountId
    notice: UUID
    upto: Position


class ReadNotices(Command, frozen=True, kw_only=True):
    by: AccountId
    upto: Position


class SetNoticeMail(Command, frozen=True, kw_only=True):
    by: AccountId
    wanted: bool


async def give_notices(command: GiveNotices, context: Context, needs: Needs) -> Accepted:
    """Who is erased hears of nothing. Mails are put first: whoever dies before the append puts the same ones again."""
    state, _ = await needs.streams.load(NOTICES, notices_id(command.account))
    if state.mail:
        events = notice.give(state, given=command.given)
        await _mail(command.account, events, NOTICES.fold(state, events), needs)

    def decide(state: Notices, account: Account) -> Sequence[NoticeEvent]:
        return [] if account.id is None or account.erased else notice.give(state, given=command.given)

    change = Change(NOTICES, notices_id(command.account), decide, given=(Source(ACCOUNT, command.account),))
    return await needs.streams.transact(context, change)


async def read_notice(command: ReadNotice, context: Context, needs: Needs) -> Accepted:
    def decide(state: Notices) -> list[NoticeEvent]:
        return notice.read(state, account=command.by, notice=command.notice, upto=command.upto)

    return await needs.streams.transact(context, Change(NOTICES, notices_id(command.by), decide))


async def read_notices(command: ReadNotices, context: Context, needs: Needs) -> Accepted:
    def decide(state: Notices) -> list[NoticeEvent]:
        return notice.read_all(state, account=command.by, upto=command.upto)

    return await needs.streams.transact(context, Change(NOTICES, notices_id(command.by), decide))


async def set_notice_mail(command: SetNoticeMail, context: Context, needs: Needs) -> Accepted:
    """Raises Conflict."""
    found = await known(command.by, needs)
    confirmed = found.state.confirmed is not None and found.state.confirmed == email_stream(found, needs)

    def decide(state: Notices) -> list[NoticeEvent]:
        return notice.set_mail(state, account=command.by, wanted=command.wanted, confirmed=confirmed)

    return await needs.streams.transact(context, Change(NOTICES, notices_id(command.by), decide))


async def _mail(account: AccountId, given: Sequence[NoticeEvent], then: Notices, needs: Needs) -> None:
    """To a confirmed address; each under an id of its own, whatever becomes of this process.

    Likes of a day are one mail, when the day is over: until then it is written anew with each of them.
    """
    found = await known(account, needs)
    if found.credentials is None or not found.email or found.state.confirmed != email_stream(found, needs):
        return
    subject = SUBJECT.format(name=found.credentials.username)

    def letter(what: str, body: str) -> Mail:
        id = uuid5(notices_id(account), what)
        return Mail(id=id, account=account, to=found.email, subject=subject, body=body + HOW_TO_STOP)

    for each in given:
        if isinstance(each, NoticeGiven) and each.kind in MAILED:
            await needs.mails.put(letter(str(each.cause), await _text(each, needs)), needs.now())
    if any(isinstance(each, NoticeGiven) and each.day == then.day != "" for each in given):
        things = "\n".join([f"{await _name(each, needs)}: {each.count}" for each in then.liked])
        mail = letter(f"likes {then.day}", LIKES.format(things=things))
        await needs.mails.put_off(
            mail, datetime.fromisoformat(then.day).replace(tzinfo=UTC) + timedelta(days=1)
        )


async def _name(about: NoticeGiven | Liked, needs: Needs) -> str:
    if about.output is not None:
        shared, _ = await needs.streams.load(SHARED_OUTPUT, about.output)
        return "" if shared.shown is None else shared.shown.name
    if about.workflow is None:
        return ""
    workflow, _ = await needs.streams.load(WORKFLOW, about.workflow)
    return workflow.name


async def _text(given: NoticeGiven, needs: Needs) -> str:
    by = None if given.by is None else await needs.accounts.by_id(given.by)
    name, text = await _name(given, needs), ""
    if given.comment is not None:
        comment, _ = await needs.streams.load(COMMENT, given.comment)
        text = comment.text
    who = "Somebody" if by is None else by.username
    return MAILED[given.kind].format(by=who, name=name, text=text, reason=given.reason)
