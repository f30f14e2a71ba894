"""Links to what one keeps to oneself: good for whoever has one, as long as they are."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.erasure import EraseAccount
from commands.moderation import HideThing, ShowThing
from commands.shares import RevokeShare, Shared, ShareThing, open_share
from commands.streams import Change, Context
from commands.workflows import ChangeWorkflow, CreateWorkflow, DeleteWorkflow
from domain.account import ACCOUNT, Role
from domain.ids import AccountId, Actor, Position
from domain.refusals import Invalid, NotFound, TooMany
from domain.report import Kind as Reported
from domain.share import Kind
from domain.standing import give_role
from tests.commands.ground import GRAPH, Ground
from tests.commands.test_notifications import PASSWORD, registered
from tests.domain.facts import BOB


async def linked(ground: Ground, **more: Any) -> tuple[AccountId, Any, Shared]:
    ann = await registered(ground, "ann")
    saved = await ground.wish(CreateWorkflow(owner=ann, name="Cats", graph=GRAPH))
    wish = ShareThing(by=ann, kind=Kind.WORKFLOW, subject=saved.id, **more)
    return ann, saved.id, await ground.wish(wish, key="once")


async def leads_nowhere(ground: Ground, token: str) -> bool:
    try:
        await open_share(token, ground.dispatcher.needs)
    except NotFound:
        return True
    return False


async def test_a_link_shows_what_is_kept_private_until_it_is_revoked(ground: Ground) -> None:
    ann, workflow, link = await linked(ground)
    opened = await open_share(link.token, ground.dispatcher.needs)
    assert (opened.author, opened.subject) == ("ann", workflow)
    assert opened.workflow is not None
    assert opened.workflow.name == "Cats"
    for nobodys in (link.token[:-1], link.token + "0", str(link.id), "", "é", "x" * 1_000):
        assert await leads_nowhere(ground, nobodys)
    with pytest.raises(NotFound):
        await ground.wish(RevokeShare(by=BOB, share=link.id))
    assert (await ground.wish(RevokeShare(by=ann, share=link.id))).position > 0
    assert (await ground.wish(RevokeShare(by=ann, share=link.id))).position == 0
    assert await leads_nowhere(ground, link.token)


async def test_nothing_that_is_stored_tells_the_token(ground: Ground) -> None:
    _, _, link = await linked(ground)
    rows = await ground.log.rows(Position(link.position - 1), 10)
    assert [row.topic for row in rows] == ["share.made.v1"]
    assert link.token.encode() not in b"".join(row.state for row in rows)


async def test_the_same_request_is_answered_with_the_same_link(ground: Ground) -> None:
    ann, workflow, link = await linked(ground)
    wish = ShareThing(by=ann, kind=Kind.WORKFLOW, subject=workflow)
    assert await ground.wish(wish, key="once") == link
    others = [await ground.wish(wish, key="again"), await ground.wish(wish), await ground.wish(wish)]
    assert len({link.token, *(other.token for other in others)}) == 4


async def test_a_link_expires(ground: Ground) -> None:
    _, _, link = await linked(ground, expires_in=60)
    ground.wait(timedelta(seconds=59))
    assert not await leads_nowhere(ground, link.token)
    ground.wait(timedelta(seconds=1))
    assert await leads_nowhere(ground, link.token)


async def test_what_is_deleted_or_hidden_is_shown_by_no_link(ground: Ground) -> None:
    ann, workflow, link = await linked(ground)
    await ground.wish(ChangeWorkflow(by=ann, workflow=workflow, public=True))
    judge = await registered(ground, "judge")
    streams = ground.dispatcher.needs.streams
    context = Context(actor=Actor("operator"), correlation=uuid4())
    role = Change(ACCOUNT, judge, lambda state: give_role(state, role=Role.MODERATOR, reason="Trusted."))
    await streams.transact(context, role)
    about: dict[str, Any] = {"by": judge, "kind": Reported.WORKFLOW, "subject": workflow, "reason": "Spam."}
    await ground.wish(HideThing(**about))
    assert await leads_nowhere(ground, link.token)
    await ground.wish(ShowThing(**about))
    assert not await leads_nowhere(ground, link.token)
    await ground.wish(DeleteWorkflow(by=ann, workflow=workflow))
    assert await leads_nowhere(ground, link.token)


async def test_links_go_with_their_account(ground: Ground) -> None:
    ann, _, link = await linked(ground)
    await ground.wish(EraseAccount(account=ann, password=PASSWORD))
    assert await leads_nowhere(ground, link.token)


async def test_links_are_made_of_ones_own_and_not_without_end(ground: Ground) -> None:
    ann, workflow, _ = await linked(ground)
    for wish in (
        ShareThing(by=BOB, kind=Kind.WORKFLOW, subject=workflow),
        ShareThing(by=ann, kind=Kind.WORKFLOW, subject=UUID(int=1)),
        ShareThing(by=ann, kind=Kind.OUTPUT, subject=UUID(int=1), node="9"),
    ):
        with pytest.raises(NotFound):
            await ground.wish(wish)
    for seconds in (0, -1, 10**12):
        with pytest.raises(Invalid):
            await ground.wish(ShareThing(by=ann, kind=Kind.WORKFLOW, subject=workflow, expires_in=seconds))
    for _ in range(97):
        await ground.wish(ShareThing(by=ann, kind=Kind.WORKFLOW, subject=workflow))
    with pytest.raises(TooMany):
        await ground.wish(ShareThing(by=ann, kind=Kind.WORKFLOW, subject=workflow))
