"""Who hears of what, by the errand's own way from event to notice."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from commands.accounts import RegisterAccount
from commands.comments import PostComment
from commands.erasure import EraseAccount
from commands.follows import FollowAccount
from commands.likes import LikeWorkflow, UnlikeWorkflow
from commands.mailing import AskConfirmation, ConfirmEmail
from commands.notifications import SetNoticeMail
from commands.shared_outputs import PublishOutput
from commands.streams import Change, Context
from commands.workflows import CreateWorkflow
from domain.ids import AccountId, Actor, OutputId, Position, RunId, WorkflowId, output_id
from domain.notice import NoticeGiven
from domain.place import Kind as On
from domain.refusals import Conflict
from domain.run import RUN, RunEvent
from services.notifying import tell
from tests.commands.ground import GRAPH, Ground
from tests.domain.facts import claimed, output, output_stored, started, submitted, succeeded

PASSWORD = "correct horse battery"


async def registered(ground: Ground, name: str) -> AccountId:
    wish = RegisterAccount(username=name, email=f"{name}@example.org", password=PASSWORD)
    return AccountId((await ground.wish(wish)).id)


async def heard(ground: Ground) -> list[tuple[str, AccountId, int]]:
    """Of everything that has happened so far; asked again it is the same."""
    rows = await ground.log.rows(Position(0), 10_000)
    events = [each for row in rows if (each := await ground.log.at(row.position)) is not None]
    await tell(events, ground.dispatcher)
    given = [each for each in await ground.happened() if isinstance(each, NoticeGiven)]
    return [(each.kind, each.account, each.count) for each in given]


async def shown(ground: Ground, owner: AccountId) -> WorkflowId:
    saved = await ground.wish(CreateWorkflow(owner=owner, name="Cats", graph=GRAPH, public=True))
    return WorkflowId(saved.id)


async def shown_output(ground: Ground, owner: AccountId) -> OutputId:
    run = RunId(ground.dispatcher.needs.new_id())
    made: list[RunEvent] = [replace(submitted, owner=owner), claimed, started, output_stored, succeeded]
    context = Context(actor=Actor("somebody"), correlation=run)
    await ground.dispatcher.needs.streams.transact(context, Change(RUN, run, lambda _: made))
    await ground.wish(PublishOutput(by=owner, run=run, node=output.node, index=output.index, name="Fox"))
    return output_id(run, output.node, output.index)


async def test_everybody_hears_once_of_what_concerns_them_and_nobody_of_their_own(ground: Ground) -> None:
    ann, bob, eve = [await registered(ground, name) for name in ("ann", "bob", "eve")]
    workflow = await shown(ground, ann)
    await ground.wish(FollowAccount(by=bob, account=ann))
    for by in (ann, bob, eve):
        await ground.wish(LikeWorkflow(by=by, workflow=workflow))
    await ground.wish(UnlikeWorkflow(by=bob, workflow=workflow))
    await ground.wish(LikeWorkflow(by=bob, workflow=workflow))
    expected = [("followed", ann, 1), ("liked", ann, 2)]
    assert await heard(ground) == expected
    said = await ground.wish(
        PostComment(by=bob, kind=On.WORKFLOW, subject=workflow, text="Hello @eve and @ann")
    )
    await ground.wish(
        PostComment(by=ann, kind=On.WORKFLOW, subject=workflow, text="Thanks, @ann.", answers=said.id)
    )
    await ground.wish(PostComment(by=eve, kind=On.WORKFLOW, subject=workflow, text="Me too."))
    expected += [("mentioned", eve, 1), ("mentioned", ann, 1), ("commented", ann, 1), ("answered", bob, 1)]
    assert sorted(await heard(ground)) == sorted(expected)
    assert len(await heard(ground)) == len(expected)


async def test_mail_is_sent_where_it_is_wanted_once(ground: Ground) -> None:
    ann, bob = [await registered(ground, name) for name in ("ann", "bob")]
    workflow = await shown(ground, ann)
    with pytest.raises(Conflict):
        await ground.wish(SetNoticeMail(by=ann, wanted=True))
    await ground.wish(AskConfirmation(account=ann))
    token = ground.mails.waiting.pop().body.partition("confirm: ")[2].split()[0]
    await ground.wish(ConfirmEmail(token=token))
    await ground.wish(SetNoticeMail(by=ann, wanted=True))
    await ground.wish(LikeWorkflow(by=bob, workflow=workflow))
    await ground.wish(PostComment(by=bob, kind=On.WORKFLOW, subject=workflow, text="Which {sampler}?"))
    for _ in range(2):
        await heard(ground)
        (mail,) = ground.mails.waiting
        assert (mail.to, mail.account) == ("ann@example.org", ann)
        assert "bob has commented on Cats:\n\nWhich {sampler}?" in mail.body


async def test_likes_of_a_day_are_one_mail_when_it_is_over(ground: Ground) -> None:
    ann, bob, eve = [await registered(ground, name) for name in ("ann", "bob", "eve")]
    await ground.wish(AskConfirmation(account=ann))
    token = ground.mails.waiting.pop().body.partition("confirm: ")[2].split()[0]
    await ground.wish(ConfirmEmail(token=token))
    workflow = await shown(ground, ann)
    await ground.wish(LikeWorkflow(by=bob, workflow=workflow))
    await heard(ground)
    assert ground.mails.put_offs == {}  # nobody has asked for it
    await ground.wish(SetNoticeMail(by=ann, wanted=True))
    other = await shown(ground, ann)
    for by in (bob, eve):
        await ground.wish(LikeWorkflow(by=by, workflow=other))
        for _ in range(2):  # an errand that was killed does it again
            await heard(ground)
    ((mail, until),) = ground.mails.put_offs.values()
    assert (mail.to, until) == ("ann@example.org", datetime(2026, 11, 22, tzinfo=UTC))
    assert "\n\nCats: 1\nCats: 2\n\n" in mail.body
    ground.wait(timedelta(days=1))
    await ground.wish(LikeWorkflow(by=eve, workflow=workflow))
    await heard(ground)
    _, (mail, until) = ground.mails.put_offs.values()
    assert "\n\nCats: 1\n\n" in mail.body
    assert until == datetime(2026, 11, 23, tzinfo=UTC)
    assert ground.mails.waiting == []


async def test_who_shows_an_output_hears_what_is_said_about_it(ground: Ground) -> None:
    ann, bob = [await registered(ground, name) for name in ("ann", "bob")]
    id = await shown_output(ground, ann)
    said = await ground.wish(PostComment(by=bob, kind=On.OUTPUT, subject=id, text="A fox!"))
    await ground.wish(PostComment(by=ann, kind=On.OUTPUT, subject=id, text="Yes.", answers=said.id))
    assert await heard(ground) == [("commented", ann, 1), ("answered", bob, 1)]
    given = [each for each in await ground.happened() if isinstance(each, NoticeGiven)]
    assert [(each.output, each.workflow, each.comment) for each in given][:1] == [(id, None, said.id)]


async def test_who_is_gone_hears_of_nothing(ground: Ground) -> None:
    ann, bob = [await registered(ground, name) for name in ("ann", "bob")]
    await ground.wish(FollowAccount(by=bob, account=ann))
    await ground.wish(EraseAccount(account=ann, password=PASSWORD))
    assert await heard(ground) == []
